//! Where tokens are: texts along one line, images in time, height and width.

use super::config::Qwen2_5_VLTextConfig;
use crate::error::{Error, Result};
use crate::models::layers::rotary_embedding::text_frequencies;

/// A position on the axes of time, height and width.
pub(super) type Position = [usize; 3];

/// What `mm_token_type_ids` says of a token of an image.
const IMAGE: u32 = 1;

/// The positions of the tokens of a batch, of one item after the other: on all axes the next one for each token of a text, and for
/// those of an image its own rows and columns. Hidden tokens have no position.
///
/// `types` says which tokens are of images; `grids` are the time, height and width of the images in patches, and squares of
/// `merge_size` by `merge_size` of them become one token.
///
/// # Errors
/// When tokens and images do not fit each other, or there are tokens of videos.
pub(super) fn positions(
    types: &[Vec<u32>],
    mask: Option<&[Vec<u32>]>,
    grids: &[[usize; 3]],
    merge_size: usize,
) -> Result<Vec<Position>> {
    let wrong = |message: String| Error::argument("mm_token_type_ids", message);
    let mut grids = grids.iter();
    let mut positions = Vec::new();
    for (item, row) in types.iter().enumerate() {
        let is_shown = |token: &usize| mask.is_none_or(|mask| mask[item][*token] != 0);
        let shown: Vec<usize> = (0..row.len()).filter(is_shown).collect();
        let mut of_row = vec![[0; 3]; row.len()];
        let mut next = 0;
        for run in shown.chunk_by(|left, right| row[*left] == row[*right]) {
            match row[run[0]] {
                0 => {
                    run.iter().enumerate().for_each(|(step, token)| of_row[*token] = [next + step; 3]);
                    next += run.len();
                }
                IMAGE => {
                    let grid = grids.next().ok_or_else(|| wrong("has more images than are given".into()))?;
                    let [time, height, width] = [grid[0], grid[1] / merge_size, grid[2] / merge_size];
                    if run.len() != time * height * width {
                        let message = format!(
                            "has {} tokens for an image of {height} by {width} tokens at {time} times",
                            run.len()
                        );
                        return Err(wrong(message));
                    }
                    for (place, token) in run.iter().enumerate() {
                        let (frame, place) = (place / (height * width), place % (height * width));
                        of_row[*token] = [next + frame, next + place / width, next + place % width];
                    }
                    next += height.max(width);
                }
                other => {
                    let message =
                        format!("has a {other}; 0 is a text and 1 an image, and videos are not supported");
                    return Err(wrong(message));
                }
            }
        }
        positions.extend(of_row);
    }
    if grids.next().is_some() {
        return Err(wrong("has fewer images than are given".into()));
    }
    Ok(positions)
}

/// The angles of tokens at these positions: the pairs of each section of a head turn with another axis.
///
/// # Errors
/// As for the sections and θ of the configuration.
pub(super) fn angles(config: &Qwen2_5_VLTextConfig, positions: &[Position]) -> Result<Vec<f32>> {
    let frequencies = text_frequencies(config.rope_theta()?, config.head_dim());
    let sections = config.sections()?;
    let axes =
        sections.iter().enumerate().flat_map(|(section, pairs)| std::iter::repeat_n(section % 3, *pairs));
    let turns: Vec<(usize, f32)> = axes.zip(frequencies).collect();
    let angle = |position: &Position, (axis, frequency): &(usize, f32)| position[*axis] as f32 * frequency;
    Ok(positions.iter().flat_map(|position| turns.iter().map(move |turn| angle(position, turn))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_rows_and_columns_and_texts_go_on_after_the_longer_side() {
        let types = [vec![0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0]];
        let mask = [vec![0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]];
        let found = positions(&types, Some(&mask), &[[1, 4, 6]], 2).unwrap();
        let image = [[2, 2, 2], [2, 2, 3], [2, 2, 4], [2, 3, 2], [2, 3, 3], [2, 3, 4]];
        let expected: Vec<Position> =
            [[0; 3], [0; 3], [1; 3]].into_iter().chain(image).chain([[5; 3], [6; 3]]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        let error = |types: &[u32], grids: &[[usize; 3]]| {
            positions(&[types.to_vec()], None, grids, 2).unwrap_err().to_string()
        };
        assert!(error(&[0, 1, 0], &[]).contains("more images"));
        assert!(error(&[0, 0], &[[1, 2, 2]]).contains("fewer images"));
        assert!(error(&[0, 1, 1, 0], &[[1, 2, 2]]).contains("2 tokens"));
        assert!(error(&[2], &[]).contains("videos"));
    }
}
