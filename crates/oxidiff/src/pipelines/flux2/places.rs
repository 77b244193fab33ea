//! The places of tokens.

/// The place of a token: in time, from top to bottom, from left to right, and in a text.
pub(super) type Place = [f32; 4];

/// The places of an image's tokens at a time.
pub(super) fn image_places(time: f32, [rows, columns]: [usize; 2]) -> impl Iterator<Item = Place> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| [time, row as f32, column as f32, 0.0]))
}

/// The places of a prompt's tokens.
pub(super) fn text_places(tokens: usize) -> Vec<Place> {
    (0..tokens).map(|token| [0.0, 0.0, 0.0, token as f32]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_images_and_texts_have_axes_of_their_own() {
        let places: Vec<Place> = image_places(10.0, [1, 2]).collect();
        assert_eq!(places, [[10.0, 0.0, 0.0, 0.0], [10.0, 0.0, 1.0, 0.0]]);
        assert_eq!(text_places(2), [[0.0; 4], [0.0, 0.0, 0.0, 1.0]]);
    }
}
