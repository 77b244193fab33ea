"""Parts of pipelines that are no models, and what only some classes of pipelines have."""


class Part:
    """A part of a pipeline that is neither model nor scheduler, such as a tokenizer: it can be handed to other pipelines."""

    def __init__(self, core, class_name):
        self._core = core
        self._class_name = class_name

    def __repr__(self):
        return f"<{self._class_name} of an oxidiff pipeline>"

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(f"a {type(self).__name__} has no `{name}`")
        raise NotImplementedError(f"`{name}` of a {self._class_name} is not available from Python")

    def __call__(self, *args, **kwargs):
        raise NotImplementedError(f"a {self._class_name} cannot be called from Python: pass prompts to the pipeline")


class VaeMixin:
    """How the autoencoder of a pipeline goes through images."""

    def enable_vae_tiling(self):
        """Encodes and decodes large images in overlapping tiles, so that memory does not grow with their size."""
        self._vae("enable_tiling")

    def disable_vae_tiling(self):
        """Encodes and decodes whole images."""
        self._vae("disable_tiling")

    def enable_vae_slicing(self):
        """Encodes and decodes the images of a batch one by one."""
        self._vae("enable_slicing")

    def disable_vae_slicing(self):
        """Encodes and decodes whole batches."""
        self._vae("disable_slicing")

    def _vae(self, change):
        if "vae" not in self._parts:
            raise NotImplementedError(f"a {type(self).__name__} has no autoencoder")
        getattr(self._parts["vae"], change)()


class NamedClasses:
    """Pipelines whose checkpoints name the classes that their images can be of."""

    @property
    def labels(self):
        """The numbers of the classes, by name."""
        names = ((name.strip(), int(number)) for number, several in (self.config.get("id2label") or {}).items()
                 for name in several.split(","))
        return dict(sorted(names))

    def get_label_ids(self, label):
        """The numbers of the classes of these names, for `class_labels`.

        Raises:
            ValueError: when the checkpoint names no such class.
        """
        labels = self.labels
        wanted = label if isinstance(label, list) else list(label)
        for name in wanted:
            if name not in labels:
                raise ValueError(f"there is no class `{name}`: `labels` holds those of the checkpoint")
        return [labels[name] for name in wanted]


#: The further methods of each class.
FURTHER = {"DiTPipeline": NamedClasses}
