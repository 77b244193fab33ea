//! The columns of a dataset and what they hold.

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// An image in each row.
    Image,
    /// A string, or a list of strings, in each row.
    Caption,
    /// The class that the image's folder names: an index into the names.
    Label {
        /// The names of the classes, sorted.
        names: Vec<String>,
    },
    /// Numbers, structures and whatever else training does not use.
    Other,
}

/// The caption of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caption {
    /// One caption.
    One(String),
    /// Several captions, never none: training draws one each time.
    Several(Vec<String>),
}

impl Caption {
    /// All captions: at least one.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(caption) => std::slice::from_ref(caption),
            Self::Several(captions) => captions,
        }
    }
}

/// What a trainer uses a column for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The image to learn: by default the column `image`.
    Image,
    /// Its caption: by default the column `text`.
    Caption,
    /// The image that a ControlNet follows: by default the column `conditioning_image`.
    Conditioning,
}

impl Role {
    /// The column's name if the user gives none: the default of the scripts' arguments.
    pub(super) fn default_name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Caption => "text",
            Self::Conditioning => "conditioning_image",
        }
    }

    /// Where the scripts look for a column without a name.
    pub(super) fn position(self) -> usize {
        match self {
            Self::Image => 0,
            Self::Caption => 1,
            Self::Conditioning => 2,
        }
    }

    pub(super) fn fits(self, kind: &ColumnKind) -> bool {
        match self {
            Self::Image | Self::Conditioning => *kind == ColumnKind::Image,
            Self::Caption => *kind == ColumnKind::Caption,
        }
    }

    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Image | Self::Conditioning => "should contain images",
            Self::Caption => "should contain either strings or lists of strings",
        }
    }
}
