"""What calls return: mappings whose values are also attributes and, by number, items of a tuple."""

from collections import OrderedDict


class BaseOutput(OrderedDict):
    """The result of a call: `output.images`, `output["images"]` or `output[0]`."""

    _fields = ()

    def __init__(self, *args, **kwargs):
        values = dict(zip(self._fields, args), **kwargs)
        super().__init__((name, value) for name, value in values.items() if value is not None)
        for name in self._fields:
            object.__setattr__(self, name, values.get(name))

    def __getitem__(self, key):
        if isinstance(key, str):
            return super().__getitem__(key)
        return self.to_tuple()[key]

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        object.__setattr__(self, key, value)

    def __setattr__(self, name, value):
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        object.__setattr__(self, name, value)

    def __delitem__(self, key):
        raise TypeError(f"an item of a {type(self).__name__} cannot be deleted")

    def setdefault(self, *args, **kwargs):
        raise TypeError(f"a {type(self).__name__} has no `setdefault`")

    def pop(self, *args, **kwargs):
        raise TypeError(f"a {type(self).__name__} has no `pop`")

    def update(self, *args, **kwargs):
        raise TypeError(f"a {type(self).__name__} has no `update`")

    def __reduce__(self):
        return _restore, (type(self).__name__, self._fields, tuple(getattr(self, name) for name in self._fields))

    def to_tuple(self):
        """The values that are there, in order."""
        return tuple(self[name] for name in self.keys())


def output_class(name, fields, about):
    """A class of outputs with these fields."""
    return type(name, (BaseOutput,), {"_fields": tuple(fields), "__doc__": about, "__module__": "oxidiff"})


def _restore(name, fields, values):
    return output_class(name, fields, "")(*values)


ImagePipelineOutput = output_class("ImagePipelineOutput", ["images"], "The images that a pipeline made.")
StableDiffusionPipelineOutput = output_class(
    "StableDiffusionPipelineOutput",
    ["images", "nsfw_content_detected"],
    "The images that a pipeline made, and which of them the safety checker found; `None` without a check.",
)
FluxPriorReduxPipelineOutput = output_class(
    "FluxPriorReduxPipelineOutput",
    ["prompt_embeds", "pooled_prompt_embeds"],
    "A prompt, embedded, for a call of a pipeline of FLUX.1.",
)
SchedulerOutput = output_class(
    "SchedulerOutput",
    ["prev_sample", "pred_original_sample"],
    "The sample after a step, and the estimate of the noise-free sample, if the scheduler makes one.",
)
SdeVeOutput = output_class(
    "SdeVeOutput",
    ["prev_sample", "prev_sample_mean"],
    "The sample after a step of a score model's predictor, and its mean before noise was added.",
)
AutoencoderKLOutput = output_class(
    "AutoencoderKLOutput", ["latent_dist"], "The distribution of the latents of images."
)
AutoencoderTinyOutput = output_class("AutoencoderTinyOutput", ["latents"], "The latents of images.")
EncoderOutput = output_class("EncoderOutput", ["latent"], "The latents of images.")
DecoderOutput = output_class("DecoderOutput", ["sample"], "Images decoded from latents, in about [-1, 1].")
