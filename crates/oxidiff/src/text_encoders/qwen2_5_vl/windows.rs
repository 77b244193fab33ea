//! The order in which the patches of images are seen: those of a window one after another.

use super::vision_config::Qwen2_5_VLVisionConfig;

/// Where the squares of patches that become one vector of the language model go, and which patches see each other.
pub(super) struct Windows {
    /// The number of each square before, in the new order.
    pub order: Vec<usize>,
    /// Patches in each window, in the new order.
    pub windows: Vec<usize>,
    /// Patches in each image, or in each of its frames.
    pub frames: Vec<usize>,
    /// Row and column of each patch, in the new order.
    pub places: Vec<[usize; 2]>,
}

impl Windows {
    /// The windows of images of these sizes in patches: time, height and width.
    pub fn of(grids: &[[usize; 3]], config: &Qwen2_5_VLVisionConfig) -> Self {
        let (side, merge, merged) = (config.window(), config.spatial_merge_size, config.merged());
        let mut found = Self { order: vec![], windows: vec![], frames: vec![], places: vec![] };
        let mut first = 0;
        for &[frames, height, width] in grids {
            let [rows, columns] = [height / merge, width / merge];
            for _ in 0..frames {
                found.frames.push(height * width);
                for top in (0..rows).step_by(side) {
                    for left in (0..columns).step_by(side) {
                        let (bottom, right) = ((top + side).min(rows), (left + side).min(columns));
                        found.windows.push((bottom - top) * (right - left) * merged);
                        for (row, column) in
                            (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column)))
                        {
                            found.order.push(first + row * columns + column);
                            let patches =
                                (0..merge).flat_map(|down| (0..merge).map(move |right| (down, right)));
                            let place = |(down, right)| [row * merge + down, column * merge + right];
                            found.places.extend(patches.map(place));
                        }
                    }
                }
                first += rows * columns;
            }
        }
        found
    }

    /// The new place of each square, in the order before.
    pub fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.order.len()];
        for (new, old) in self.order.iter().enumerate() {
            inverse[*old] = new;
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_at_the_edges_are_smaller() {
        let config = Qwen2_5_VLVisionConfig { window_size: 56, ..Default::default() };
        assert_eq!(config.window(), 2);
        let found = Windows::of(&[[1, 6, 4], [1, 2, 2]], &config);
        assert_eq!(found.order, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(found.windows, [16, 8, 4]);
        let found = Windows::of(&[[1, 4, 6]], &config);
        assert_eq!(found.order, [0, 1, 3, 4, 2, 5]);
        assert_eq!(found.inverse(), [0, 1, 4, 2, 3, 5]);
        assert_eq!((found.windows, found.frames), (vec![16, 8], vec![24]));
        assert_eq!(found.places[..5], [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2]]);
    }
}
