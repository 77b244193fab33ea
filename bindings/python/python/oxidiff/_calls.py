"""Calls of pipelines: the callback, the progress bar, and the form of the result."""

from collections.abc import Mapping

from . import _oxidiff
from ._attributes import ATTENTION_ARGUMENTS, OF_CALLS
from ._outputs import ImagePipelineOutput, StableDiffusionPipelineOutput
from ._unsupported import UNSUPPORTED_ARGUMENTS


def call(pipeline, given):
    """Calls a pipeline with the arguments that its class's `__call__` has collected."""
    run = pipeline._core.call
    whole = given.pop("return_dict")
    called_with = {name: given.get(name) for name in OF_CALLS}
    called_with.update((name, given["others"].get(name)) for name in ATTENTION_ARGUMENTS)
    scale = _lora_scale(pipeline, given)
    function = given.pop("callback_on_step_end", None)
    inputs = _tensor_inputs(function, given.pop("callback_on_step_end_tensor_inputs", ("latents",)))
    # None is how diffusers says that there is none.
    if given.get("complex_human_instruction", ()) is None:
        given["complex_human_instruction"] = []
    for name in pipeline._never_none:
        if name in given and given[name] is None:
            raise TypeError(f"{type(pipeline).__name__}.__call__(): `{name}` must not be None")
    if "output_type" in given and given["output_type"] is None:
        # What diffusers returns for every form that it does not know.
        given["output_type"] = "np"
    _draw_class_labels(pipeline, given)
    if given.get("pag_applied_layers") is None and "pag_applied_layers" in pipeline.__dict__:
        given["pag_applied_layers"] = pipeline.pag_applied_layers
    if pipeline._class_name == "StableDiffusionPipeline":
        _ignore_one_side(given)
    form = given.get("output_type")
    if form == "pt":
        given["output_type"] = "np"
    pipeline._synchronise()
    pipeline.__dict__.update(
        _interrupt=False, _guidance_scale=given.get("guidance_scale"), _clip_skip=given.get("clip_skip"),
        _called_with=called_with,
    )
    if scale is not None:
        pipeline._lora_scale = scale
    scheduler = pipeline._parts.get("scheduler")
    with _Steps(pipeline, function, inputs, given.get("num_inference_steps")) as steps:
        try:
            pipeline._is_called = True
            if scale is not None:
                pipeline._core.set_lora_scale(scale)
            images, flagged = run(given, steps, function is not None and "latents" in inputs)
        finally:
            pipeline._is_called, pipeline._current_timestep = False, None
            if scale is not None:
                pipeline._core.set_lora_scale(1.0)
            if scheduler is not None:
                pipeline._core.get_scheduler_state(scheduler._core)
    if form == "pt":
        images = _tensor(images)
    return _output(pipeline, images, flagged, whole)


def _lora_scale(pipeline, given):
    """Refuses arguments that the class does not take; returns the scale of LoRAs, if one is given, and turns masks into an
    argument."""
    others = given.pop("others")
    attention = {}
    for name in ATTENTION_ARGUMENTS:
        attention.update(others.pop(name, None) or {})
    for name, value in others.items():
        if name not in UNSUPPORTED_ARGUMENTS:
            raise TypeError(f"{type(pipeline).__name__}.__call__() got an unexpected keyword argument '{name}'")
        if value is not None:
            raise NotImplementedError(f"`{name}` is not supported by a {type(pipeline).__name__}")
    masks = attention.pop("ip_adapter_masks", None)
    if masks is not None:
        given["ip_adapter_masks"] = masks
    scale = attention.pop("scale", None)
    if attention:
        names = ", ".join(f"`{name}`" for name in ATTENTION_ARGUMENTS)
        raise NotImplementedError(f"{names}: take `scale` and `ip_adapter_masks` only, not {', '.join(attention)}")
    return None if scale is None else float(scale)


def _ignore_one_side(given):
    """Only this pipeline of diffusers ignores `height` without `width`, and the other way round."""
    sides = [name for name in ("height", "width") if given[name]]
    if len(sides) == 1:
        import logging

        logging.getLogger("oxidiff").warning("`%s` is ignored: give both `height` and `width`", sides[0])
    if len(sides) < 2:
        given.update(height=None, width=None)


def _draw_class_labels(pipeline, given):
    """Chooses classes where the call gives none. Like those of diffusers, they never come from the call's own generator;
    a call without one has only the default generator, from which the library draws them itself."""
    unet = pipeline._parts.get("unet")
    classes = unet.config.get("num_class_embeds") if unet is not None else None
    is_open = "class_labels" in given and given["class_labels"] is None and given.get("generator") is not None
    if classes and is_open:
        given["class_labels"] = _oxidiff.draw_classes(classes, given["batch_size"])


def _tensor_inputs(function, inputs):
    inputs = getattr(function, "tensor_inputs", inputs) or ()
    others = [name for name in inputs if name != "latents"]
    if others:
        raise NotImplementedError(f"`callback_on_step_end_tensor_inputs`: only `latents` are available, not {others}")
    return inputs


class _Steps:
    """What happens after each step: the program's callback, and the progress bar."""

    def __init__(self, pipeline, function, inputs, steps):
        self.pipeline = pipeline
        self.function = function
        self.inputs = inputs
        self.bar = _progress_bar(pipeline, steps)
        self.done = 0
        scheduler = pipeline._parts.get("scheduler")
        self.whole = scheduler is not None and scheduler._core.has_whole_timesteps

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, index, timestep, done, steps, timesteps, latents):
        self.pipeline._num_timesteps = timesteps
        self.pipeline._current_timestep = _oxidiff.scalar(timestep, self.whole)
        replaced = None
        if self.function is not None:
            values = {"latents": latents} if "latents" in self.inputs else {}
            answer = self.function(self.pipeline, index, self.pipeline._current_timestep, values)
            # The callback may also have changed the values in place.
            replaced = _answered(answer).get("latents", values.get("latents"))
            if replaced is latents and not _may_have_changed(latents):
                replaced = None
        if self.bar is not None:
            if self.bar.total != steps:
                self.bar.total = steps
                self.bar.refresh()
            self.bar.update(done - self.done)
            self.done = done
        return replaced, not self.pipeline._interrupt


def _answered(answer):
    """What a callback returned: nothing, or latents."""
    answer = {} if answer is None else answer
    if not isinstance(answer, Mapping):
        raise TypeError(f"`callback_on_step_end`: must return a dictionary, not a {type(answer).__name__}")
    others = [name for name in answer if name != "latents"]
    if others:
        raise NotImplementedError(f"`callback_on_step_end`: can only return `latents`, not {others}")
    return answer


def _may_have_changed(latents):
    """Whether the values can have been changed in place: not those of this package's tensors."""
    return not isinstance(latents, _oxidiff.Tensor)


def _progress_bar(pipeline, steps):
    """A progress bar, where tqdm is installed and the program has not hidden it."""
    if pipeline._progress_bar_config.get("disable"):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, **pipeline._progress_bar_config)


def _tensor(images):
    """Images of numpy `[batch, height, width, channels]` as a tensor `[batch, channels, height, width]`, or a list with that of each image's layers."""
    if isinstance(images, list):
        return [_tensor(layers) for layers in images]
    tensor = _oxidiff.Tensor(images).permute(0, 3, 1, 2)
    return _oxidiff.imported_like(tensor)


def _output(pipeline, images, flagged, whole):
    if "safety_checker" in pipeline.config:
        return StableDiffusionPipelineOutput(images, flagged) if whole else (images, flagged)
    return ImagePipelineOutput(images) if whole else (images,)
