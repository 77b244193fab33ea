"""Written by `generate_stubs.py`: do not edit."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from PIL.Image import Image
from typing_extensions import Self

#: Arrays of numpy, torch, mindspore or this package.
ArrayLike: TypeAlias = Any
#: Images of Pillow, arrays, tensors, or names of files; one, or several.
ImageInput: TypeAlias = Image | ArrayLike | str | Sequence[Image] | Sequence[ArrayLike] | Sequence[str]
#: `oxidiff.Generator` or `torch.Generator`.
GeneratorLike: TypeAlias = Any
#: Called with the pipeline, the number of the step, its timestep, and the tensors asked for.
StepCallback: TypeAlias = Callable[[Any, int, Any, dict[str, Any]], Mapping[str, Any] | None]


class AuraFlowPipeline(DiffusionPipeline):
    """`AuraFlowPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 3.5, num_images_per_prompt: int = 1, height: int = 1024, width: int = 1024, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, max_sequence_length: int = 256, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: AuraFlowPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels, a multiple of 16; without it that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; without it that of the model's training images.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`. Must be given with them but has no effect, as in Python: the transformer looks at all tokens, and those that fill up a prompt are zeros.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): As `prompt_attention_mask`.
            max_sequence_length (int): The tokens of a prompt: more are cut off, fewer filled up.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class AuraFlowTransformer2DModel(ModelMixin):
    """`AuraFlowTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AuraFlowTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AuraFlowTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class AutoModel:
    """Loads a model of the class that its configuration names."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, subfolder: str | None = None, **kwargs: Any) -> Self:
        """Loads a model from a folder or from the hub: see `ModelMixin.from_pretrained`."""

class AutoPipelineForImage2Image:
    """Chooses the class of a checkpoint's family for the task in the name of this one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any) -> DiffusionPipeline:
        """Makes the pipeline for the task from the parts of another, which shares its weights. `enable_pag` and `pag_applied_layers`
        are those of `from_pretrained`.
        """

    @classmethod
    def from_pretrained(cls, pretrained_model_or_path: Any, **kwargs: Any) -> DiffusionPipeline:
        """Loads the pipeline for the task: see `DiffusionPipeline.from_pretrained`. `enable_pag=True` chooses a class that guides
        by perturbed attention, in the layers that `pag_applied_layers` names.
        """

class AutoPipelineForInpainting:
    """Chooses the class of a checkpoint's family for the task in the name of this one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any) -> DiffusionPipeline:
        """Makes the pipeline for the task from the parts of another, which shares its weights. `enable_pag` and `pag_applied_layers`
        are those of `from_pretrained`.
        """

    @classmethod
    def from_pretrained(cls, pretrained_model_or_path: Any, **kwargs: Any) -> DiffusionPipeline:
        """Loads the pipeline for the task: see `DiffusionPipeline.from_pretrained`. `enable_pag=True` chooses a class that guides
        by perturbed attention, in the layers that `pag_applied_layers` names.
        """

class AutoPipelineForText2Image:
    """Chooses the class of a checkpoint's family for the task in the name of this one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any) -> DiffusionPipeline:
        """Makes the pipeline for the task from the parts of another, which shares its weights. `enable_pag` and `pag_applied_layers`
        are those of `from_pretrained`.
        """

    @classmethod
    def from_pretrained(cls, pretrained_model_or_path: Any, **kwargs: Any) -> DiffusionPipeline:
        """Loads the pipeline for the task: see `DiffusionPipeline.from_pretrained`. `enable_pag=True` chooses a class that guides
        by perturbed attention, in the layers that `pag_applied_layers` names.
        """

class AutoencoderDC(AutoencoderMixin, ModelMixin):
    """`AutoencoderDC` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderDC.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderDC.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class AutoencoderKL(AutoencoderMixin, ModelMixin):
    """`AutoencoderKL` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderKL.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderKL.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class AutoencoderKLFlux2(AutoencoderMixin, ModelMixin):
    """`AutoencoderKLFlux2` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderKLFlux2.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderKLFlux2.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class AutoencoderKLQwenImage(AutoencoderMixin, ModelMixin):
    """`AutoencoderKLQwenImage` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderKLQwenImage.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderKLQwenImage.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class AutoencoderMixin:
    """What autoencoders do besides being called."""

    def __getattr__(self, name: Any) -> Any: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

    def decode(self, z: Any, return_dict: bool = True, generator: GeneratorLike | list[GeneratorLike] | None = None) -> Any:
        """Decodes latents `[batch, channels, height, width]` to images with values in about [-1, 1]."""

    def disable_slicing(self) -> Any:
        """Encodes and decodes whole batches."""

    def disable_tiling(self) -> Any:
        """Encodes and decodes whole images."""

    def enable_slicing(self) -> Any:
        """Encodes and decodes the images of a batch one by one."""

    def enable_tiling(self, use_tiling: Any = True, **sizes: Any) -> Any:
        """Encodes and decodes large images in overlapping tiles, so that memory does not grow with their size. The sizes of tiles are
        those of the class.
        """

    def encode(self, x: Any, return_dict: bool = True) -> Any:
        """Encodes images `[batch, channels, height, width]` with values in [-1, 1] as latents."""

    @property
    def use_slicing(self) -> Any:
        """Whether the images of a batch are encoded and decoded one by one."""

    @property
    def use_tiling(self) -> Any:
        """Whether large images are encoded and decoded in tiles."""

class AutoencoderTiny(AutoencoderMixin, ModelMixin):
    """`AutoencoderTiny` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderTiny.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, sample_posterior: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the AutoencoderTiny.

        Args:
            sample (ArrayLike): The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
            sample_posterior (bool): Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from; by default a freshly seeded generator.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class BackAndForth:
    """RePaint, whose runs also go back to noisier timesteps."""

    @property
    def final_alpha_cumprod(self) -> Any:
        """What the last step takes for `alphas_cumprod`: 1."""

    def undo_step(self, sample: ArrayLike, timestep: int | float | ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None) -> Any:
        """Goes back from the sample at a timestep to the noisier one that the step came from."""

class BaseOutput(OrderedDict):
    """The result of a call: `output.images`, `output["images"]` or `output[0]`."""

    def __delitem__(self, key: Any) -> Any: ...

    def __getitem__(self, key: Any) -> Any: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> Any: ...

    def pop(self, *args: Any, **kwargs: Any) -> Any:
        """od.pop(key[,default]) -> v, remove specified key and return the corresponding value.

        If the key is not found, return the default if given; otherwise,
        raise a KeyError.
        """

    def setdefault(self, *args: Any, **kwargs: Any) -> Any:
        """Insert key with a value of default if key is not in the dictionary.

        Return the value for key if key is in the dictionary, else default.
        """

    def to_tuple(self) -> Any:
        """The values that are there, in order."""

    def update(self, *args: Any, **kwargs: Any) -> Any:
        """D.update([E, ]**F) -> None.  Update D from dict/iterable E and F.
        If E is present and has a .keys() method, then does:  for k in E: D[k] = E[k]
        If E is present and lacks a .keys() method, then does:  for k, v in E: D[k] = v
        In either case, this is followed by: for k in F:  D[k] = F[k]
        """

class BertModel(ModelMixin):
    """`BertModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the BertModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the BertModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class CLIPTextModel(ModelMixin):
    """`CLIPTextModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the CLIPTextModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the CLIPTextModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class CLIPTextModelWithProjection(ModelMixin):
    """`CLIPTextModelWithProjection` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the CLIPTextModelWithProjection.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the CLIPTextModelWithProjection.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class CLIPVisionModelWithProjection(ModelMixin):
    """`CLIPVisionModelWithProjection` of Python: see `ModelMixin` for its methods."""

    def __call__(self, pixel_values: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the CLIPVisionModelWithProjection.

        Args:
            pixel_values (ArrayLike): The prepared images, `[batch, channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, pixel_values: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the CLIPVisionModelWithProjection.

        Args:
            pixel_values (ArrayLike): The prepared images, `[batch, channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class CMStochasticIterativeScheduler(NoiseLevels, StepIndex, SchedulerMixin):
    """`CMStochasticIterativeScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 40, sigma_min: Any = 0.002, sigma_max: Any = 80.0, sigma_data: Any = 0.5, s_noise: Any = 1.0, rho: Any = 7.0, clip_denoised: Any = True) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class ChromaImg2ImgPipeline(DiffusionPipeline):
    """`ChromaImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, strength: float = 0.9, height: int | None = None, width: int | None = None, num_inference_steps: int = 35, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ChromaImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step takes two calls of the model.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those of the text and the first that fills it up, 0 for the others. The values are numbers, as in a float mask in Python.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt, up to 512: more are cut off, fewer filled up.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ChromaInpaintPipeline(DiffusionPipeline):
    """`ChromaInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 1.0, masked_image_latents: ArrayLike | None = None, padding_mask_crop: int | None = None, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ChromaInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            true_cfg_scale (float): Has no effect, as in Python: `guidance_scale` guides.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect, as in Python: the transformer does not look at the image without its masked part.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step takes two calls of the model.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those of the text and the first that fills it up, 0 for the others. The values are numbers, as in a float mask in Python.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt, up to 512: more are cut off, fewer filled up.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ChromaPipeline(DiffusionPipeline):
    """`ChromaPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, height: int | None = None, width: int | None = None, num_inference_steps: int = 35, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ChromaPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step takes two calls of the model.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those of the text and the first that fills it up, 0 for the others. The values are numbers, as in a float mask in Python.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt, up to 512: more are cut off, fewer filled up.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ChromaTransformer2DModel(ModelMixin):
    """`ChromaTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, attention_mask: ArrayLike | None = None, controlnet_block_samples: Any | None = None, controlnet_single_block_samples: Any | None = None, controlnet_blocks_repeat: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ChromaTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            attention_mask (ArrayLike): How much each token counts, those of the prompts first, `[batch, tokens]`: numbers, as in a float mask in Python.
            controlnet_block_samples (Any): What ControlNets add after the blocks with two streams, each `[batch, tokens, dim]`.
            controlnet_single_block_samples (Any): What they add after the blocks with one stream, likewise.
            controlnet_blocks_repeat (bool): Whether the additions are used from the first on again, where there are fewer than blocks.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, attention_mask: ArrayLike | None = None, controlnet_block_samples: Any | None = None, controlnet_single_block_samples: Any | None = None, controlnet_blocks_repeat: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ChromaTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            attention_mask (ArrayLike): How much each token counts, those of the prompts first, `[batch, tokens]`: numbers, as in a float mask in Python.
            controlnet_block_samples (Any): What ControlNets add after the blocks with two streams, each `[batch, tokens, dim]`.
            controlnet_single_block_samples (Any): What they add after the blocks with one stream, likewise.
            controlnet_blocks_repeat (bool): Whether the additions are used from the first on again, where there are fewer than blocks.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class ConsistencyModelPipeline(DiffusionPipeline):
    """`ConsistencyModelPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, batch_size: int = 1, *, num_inference_steps: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, class_labels: int | Sequence[int] | ArrayLike | None = None, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ConsistencyModelPipeline.

        Args:
            batch_size (int): Number of images.
            num_inference_steps (int): Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models, and 1 for consistency models.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own (consistency models).
            class_labels (int | Sequence[int] | ArrayLike): The class of each image; by default random, if the model has classes (consistency models).
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height, width]`, instead of drawing it (consistency models).
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ContinuousTime:
    """Schedulers whose timesteps are times between 0 and 1."""

    def previous_timestep(self, timestep: int | float | ArrayLike) -> Any:
        """The timestep that a step from `timestep` leads to."""

class ControlNetModel(FromUNetMixin, ModelMixin):
    """`ControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, class_labels: float | Sequence[float] | ArrayLike | None = None, text_embeds: ArrayLike | None = None, time_ids: ArrayLike | None = None, guess_mode: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ControlNetModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded text, `[batch, tokens, features]`.
            controlnet_cond (ArrayLike): The image to follow, values in [0, 1], `[batch, 3, 8 * height, 8 * width]`.
            conditioning_scale (float): A factor of the results.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.
            text_embeds (ArrayLike): What the text says as a whole, `[batch, features]`.
            time_ids (ArrayLike): Numbers such as the size of the image, `[batch, numbers]`.
            guess_mode (bool): Whether the results grow from a tenth at the highest resolution to the whole in the middle.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, class_labels: float | Sequence[float] | ArrayLike | None = None, text_embeds: ArrayLike | None = None, time_ids: ArrayLike | None = None, guess_mode: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ControlNetModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded text, `[batch, tokens, features]`.
            controlnet_cond (ArrayLike): The image to follow, values in [0, 1], `[batch, 3, 8 * height, 8 * width]`.
            conditioning_scale (float): A factor of the results.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.
            text_embeds (ArrayLike): What the text says as a whole, `[batch, features]`.
            time_ids (ArrayLike): Numbers such as the size of the image, `[batch, numbers]`.
            guess_mode (bool): Whether the results grow from a tenth at the highest resolution to the whole in the middle.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class ControlNetUnionModel(FromUNetMixin, ModelMixin):
    """`ControlNetUnionModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, controlnet_cond: Any | None = None, control_type: ArrayLike | None = None, control_type_idx: int | Sequence[int] | ArrayLike | None = None, conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, class_labels: float | Sequence[float] | ArrayLike | None = None, text_embeds: ArrayLike | None = None, time_ids: ArrayLike | None = None, from_multi: bool = False, guess_mode: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ControlNetUnionModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded text, `[batch, tokens, features]`.
            controlnet_cond (Any): The images to follow, values in [0, 1], each `[batch, 3, 8 * height, 8 * width]`.
            control_type (ArrayLike): 1 for each type that is used and 0 for the others, `[batch, num_control_type]`; by default those of the images.
            control_type_idx (int | Sequence[int] | ArrayLike): The types of the images.
            conditioning_scale (float | Sequence[float] | ArrayLike): A factor of the results, or one for each image.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.
            text_embeds (ArrayLike): What the text says as a whole, `[batch, features]`.
            time_ids (ArrayLike): Numbers such as the size of the image, `[batch, numbers]`.
            from_multi (bool): Whether the first scale is one of all results also with several images.
            guess_mode (bool): Whether the results grow from a tenth at the highest resolution to the whole in the middle.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, controlnet_cond: Any | None = None, control_type: ArrayLike | None = None, control_type_idx: int | Sequence[int] | ArrayLike | None = None, conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, class_labels: float | Sequence[float] | ArrayLike | None = None, text_embeds: ArrayLike | None = None, time_ids: ArrayLike | None = None, from_multi: bool = False, guess_mode: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ControlNetUnionModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded text, `[batch, tokens, features]`.
            controlnet_cond (Any): The images to follow, values in [0, 1], each `[batch, 3, 8 * height, 8 * width]`.
            control_type (ArrayLike): 1 for each type that is used and 0 for the others, `[batch, num_control_type]`; by default those of the images.
            control_type_idx (int | Sequence[int] | ArrayLike): The types of the images.
            conditioning_scale (float | Sequence[float] | ArrayLike): A factor of the results, or one for each image.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.
            text_embeds (ArrayLike): What the text says as a whole, `[batch, features]`.
            time_ids (ArrayLike): Numbers such as the size of the image, `[batch, numbers]`.
            from_multi (bool): Whether the first scale is one of all results also with several images.
            guess_mode (bool): Whether the results grow from a tenth at the highest resolution to the whole in the middle.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class CosineDPMSolverMultistepScheduler(CosinePreconditioned, MultistepIndex, SchedulerMixin):
    """`CosineDPMSolverMultistepScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, sigma_min: Any = 0.3, sigma_max: Any = 500.0, sigma_data: Any = 1.0, sigma_schedule: Any = 'exponential', num_train_timesteps: Any = 1000, solver_order: Any = 2, prediction_type: Any = 'v_prediction', rho: Any = 7.0, solver_type: Any = 'midpoint', lower_order_final: Any = True, euler_at_final: Any = False, final_sigmas_type: Any = 'zero') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class CosinePreconditioned(Preconditioned):
    """EDM with the time as an angle."""

    def precondition_noise(self, sigma: Any) -> Any:
        """What the model is told about a noise level: atan(σ) · 2/π."""

class DDIMInverseScheduler(SchedulerMixin):
    """`DDIMInverseScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, clip_sample: Any = True, set_alpha_to_one: Any = True, steps_offset: Any = 0, prediction_type: Any = 'epsilon', clip_sample_range: Any = 1.0, timestep_spacing: Any = 'leading', rescale_betas_zero_snr: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DDIMPipeline(DiffusionPipeline):
    """`DDIMPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, batch_size: int = 1, *, num_inference_steps: int | None = None, eta: float = 0.0, use_clipped_model_output: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: DDIMPipeline.

        Args:
            batch_size (int): Number of images.
            num_inference_steps (int): Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models, and 1 for consistency models.
            eta (float): Noise of each step, from 0 (none) to 1 (as much as DDPM) (DDIM).
            use_clipped_model_output (bool): Whether to recompute the predicted noise from the clipped sample (DDIM).
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class DDIMScheduler(Velocity, SchedulerMixin):
    """`DDIMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, clip_sample: Any = True, set_alpha_to_one: Any = True, steps_offset: Any = 0, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, clip_sample_range: Any = 1.0, sample_max_value: Any = 1.0, timestep_spacing: Any = 'leading', rescale_betas_zero_snr: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, eta: Any = 0.0, use_clipped_model_output: Any = False, generator: GeneratorLike | list[GeneratorLike] | None = None, variance_noise: Any = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DDPMPipeline(DiffusionPipeline):
    """`DDPMPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, batch_size: int = 1, *, num_inference_steps: int | None = None, generator: GeneratorLike | list[GeneratorLike] | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: DDPMPipeline.

        Args:
            batch_size (int): Number of images.
            num_inference_steps (int): Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models, and 1 for consistency models.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class DDPMScheduler(PreviousTimestep, Velocity, SchedulerMixin):
    """`DDPMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, variance_type: Any = 'fixed_small', clip_sample: Any = True, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, clip_sample_range: Any = 1.0, sample_max_value: Any = 1.0, timestep_spacing: Any = 'leading', steps_offset: Any = 0, rescale_betas_zero_snr: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DDPMWuerstchenScheduler(ContinuousTime, SchedulerMixin):
    """`DDPMWuerstchenScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, scaler: Any = 1.0, s: Any = 0.008) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, timesteps: Any = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DEISMultistepScheduler(MultistepIndex, VariancePreserving, SchedulerMixin):
    """`DEISMultistepScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, solver_order: Any = 2, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, algorithm_type: Any = 'deis', solver_type: Any = 'logrho', lower_order_final: Any = True, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, use_flow_sigmas: Any = False, flow_shift: Any = 1.0, timestep_spacing: Any = 'linspace', steps_offset: Any = 0, use_dynamic_shifting: Any = False, time_shift_type: Any = 'exponential') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, mu: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            mu (float): The shift of the noise levels of a flow.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DPMSolverMultistepInverseScheduler(VariancePreserving, SchedulerMixin):
    """`DPMSolverMultistepInverseScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, solver_order: Any = 2, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, algorithm_type: Any = 'dpmsolver++', solver_type: Any = 'midpoint', lower_order_final: Any = True, euler_at_final: Any = False, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, use_flow_sigmas: Any = False, flow_shift: Any = 1.0, lambda_min_clipped: Any = ..., variance_type: Any = None, timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, variance_noise: Any = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DPMSolverMultistepScheduler(MultistepIndex, VariancePreserving, SchedulerMixin):
    """`DPMSolverMultistepScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, solver_order: Any = 2, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, algorithm_type: Any = 'dpmsolver++', solver_type: Any = 'midpoint', lower_order_final: Any = True, euler_at_final: Any = False, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, use_lu_lambdas: Any = False, use_flow_sigmas: Any = False, flow_shift: Any = 1.0, final_sigmas_type: Any = 'zero', lambda_min_clipped: Any = ..., variance_type: Any = None, timestep_spacing: Any = 'linspace', steps_offset: Any = 0, rescale_betas_zero_snr: Any = False, use_dynamic_shifting: Any = False, time_shift_type: Any = 'exponential') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, mu: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            mu (float): The shift of the noise levels of a flow.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, variance_noise: Any = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DPMSolverSDEScheduler(HalfSteps, StepIndex, SchedulerMixin):
    """`DPMSolverSDEScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.00085, beta_end: Any = 0.012, beta_schedule: Any = 'linear', trained_betas: Any = None, prediction_type: Any = 'epsilon', use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, noise_sampler_seed: Any = None, timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, num_train_timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            num_train_timesteps (int): The timesteps of the training to spread the run over, instead of the configuration's.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True, s_noise: Any = 1.0) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DPMSolverSinglestepScheduler(MultistepIndex, VariancePreserving, SchedulerMixin):
    """`DPMSolverSinglestepScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, solver_order: Any = 2, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, algorithm_type: Any = 'dpmsolver++', solver_type: Any = 'midpoint', lower_order_final: Any = False, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, use_flow_sigmas: Any = False, flow_shift: Any = 1.0, final_sigmas_type: Any = 'zero', lambda_min_clipped: Any = ..., variance_type: Any = None, use_dynamic_shifting: Any = False, time_shift_type: Any = 'exponential') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, mu: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            mu (float): The shift of the noise levels of a flow.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class DPTForDepthEstimation(ModelMixin):
    """`DPTForDepthEstimation` of Python: see `ModelMixin` for its methods."""

    def __call__(self, pixel_values: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the DPTForDepthEstimation.

        Args:
            pixel_values (ArrayLike): The prepared images, `[batch, channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, pixel_values: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the DPTForDepthEstimation.

        Args:
            pixel_values (ArrayLike): The prepared images, `[batch, channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class DiTPipeline(NamedClasses, DiffusionPipeline):
    """`DiTPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, class_labels: int | Sequence[int] | ArrayLike | None = None, *, guidance_scale: float = 4.0, generator: GeneratorLike | list[GeneratorLike] | None = None, num_inference_steps: int = 50, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: DiTPipeline.

        Args:
            class_labels (int | Sequence[int] | ArrayLike): The class of each image.
            guidance_scale (float): How strongly to follow the class; 1 or less turns guidance off.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            num_inference_steps (int): Number of denoising steps.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class DiTTransformer2DModel(ModelMixin):
    """`DiTTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, class_labels: int | Sequence[int] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the DiTTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, size, size]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            class_labels (int | Sequence[int] | ArrayLike): The class of each item.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, class_labels: int | Sequence[int] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the DiTTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, size, size]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            class_labels (int | Sequence[int] | ArrayLike): The class of each item.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class DiagonalGaussianDistribution:
    """The distribution of the latents of images: a mean and a variance at each position."""

    def __init__(self, mean: Any, logvar: Any) -> None: ...

    def kl(self, other: Any = None) -> Any:
        """The Kullback-Leibler divergence from another distribution, by default from the standard normal one, for each image."""

    def mode(self) -> Any:
        """The most likely latents."""

    def nll(self, sample: ArrayLike, dims: Any = ...) -> Any:
        """The negative logarithm of the likelihood of latents, summed over these dimensions."""

    @property
    def parameters(self) -> Any:
        """Mean and logarithm of the variance, one after the other along the channels."""

    def sample(self, generator: GeneratorLike | list[GeneratorLike] | None = None) -> Any:
        """Draws latents."""

    @property
    def std(self) -> Any:
        """The standard deviation at each position."""

    @property
    def var(self) -> Any:
        """The variance at each position."""

class DiffusionPipeline(MovingMixin, LoraMixin, IPAdapterMixin, VaeMixin, PipelineAttributes, PartAttributes, JsonMixin):
    """Makes images: the models, the scheduler and everything else that belongs to a checkpoint.

    `DiffusionPipeline.from_pretrained` returns a pipeline of the class that the checkpoint names. Its parts are attributes:
    `pipeline.unet`, `pipeline.scheduler = ...`.
    """

    def __init__(self, **parts: Any) -> None: ...

    def __repr__(self) -> str: ...

    def _repr_html_(self) -> str: ...

    @property
    def components(self) -> dict[str, Any]:
        """The parts by name, as the class takes them: `StableDiffusionImg2ImgPipeline(**pipeline.components)`."""

    @property
    def config(self) -> FrozenDict:
        """The contents of `model_index.json`: a mapping that cannot be changed."""

    config_name: str

    @property
    def dtype(self) -> Any:
        """The element type of the models."""

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any) -> Self:
        """Makes a pipeline of this class from the parts of another, and a `controlnet` or `adapter`. Both share the weights."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> Self:
        """Loads a pipeline from a folder or from the hub.

        Args:
            pretrained_model_name_or_path (str): The folder, or the name of a repository.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16;
                a string, or a type of numpy, torch, mindspore or this package.
            use_safetensors (bool): Accepted; safetensors are read wherever they are.
            variant (str): Which variant of the weights to read: `"fp16"`.
            revision (str), cache_dir (str), token (str), local_files_only (bool): See `huggingface_hub`.
            quantization_config (QuantizationConfig or PipelineQuantizationConfig): Which weights to round, and how.
            device_map: The device to compute on: `"cuda"`, `"cuda:1"` or `"cpu"`; `"auto"` is the CPU.
            safety_checker: `None` leaves it out.
            controlnet, adapter: A ControlNet or a `T2IAdapter`, or a list of them, for a class that takes one;
                `DiffusionPipeline` and the AutoPipelines then choose such a class.
            pag_applied_layers (str or list of str): See `set_pag_applied_layers`.
            scheduler, vae, unet, ...: Parts to use instead of those of the checkpoint.

        Raises:
            OSError: when a file is missing or damaged.
            ValueError: when a configuration has a value that its class does not know.
            NotImplementedError: when the class of a part is not supported.
        """

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path: Any, **kwargs: Any) -> Self:
        """Loads a pipeline out of a checkpoint in its original layout, which is one file: a path or a link to the hub.

        Args:
            pretrained_model_link_or_path (str): The file.
            config (str): Where the configurations are; by default those that the package holds for models of this kind.
            torch_dtype, dtype, scheduler, vae, ...: See `from_pretrained`.
        """

    @property
    def interrupt(self) -> Any:
        """Whether the current call is to stop: `pipeline._interrupt = True` in a callback."""

    @property
    def name_or_path(self) -> Any:
        """Where the pipeline was loaded from."""

    def progress_bar(self, iterable: Any = None, total: Any = None) -> Any:
        """A progress bar over the items of `iterable`, or of `total` steps."""

    def save_pretrained(self, save_directory: Any, safe_serialization: Any = True, variant: Any = None, max_shard_size: Any = None, push_to_hub: Any = False, **kwargs: Any) -> None:
        """Writes the pipeline into a folder, which is created if it does not exist; Python diffusers can load it from there.

        Args:
            save_directory (str): The folder.
            variant (str): What stands in the names of the files of weights: `"fp16"` for `diffusion_pytorch_model.fp16.safetensors`.
            max_shard_size (int or str): How large a file may be: `"5GB"`. Without it, there is one file for each model.
        """

    def set_pag_applied_layers(self, pag_applied_layers: Any) -> Any:
        """Sets the layers whose attention is perturbed: one or several regular expressions for their names. Only pipelines with `PAG`
        in their names have any.
        """

    def set_progress_bar_config(self, **kwargs: Any) -> Any:
        """Sets keyword arguments of the progress bar, tqdm's: `disable=True` hides it."""

    def to_json_string(self) -> str:
        """The contents of `model_index.json`, as JSON."""

class EDMDPMSolverMultistepScheduler(Preconditioned, MultistepIndex, SchedulerMixin):
    """`EDMDPMSolverMultistepScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, sigma_min: Any = 0.002, sigma_max: Any = 80.0, sigma_data: Any = 0.5, sigma_schedule: Any = 'karras', num_train_timesteps: Any = 1000, prediction_type: Any = 'epsilon', rho: Any = 7.0, solver_order: Any = 2, thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, algorithm_type: Any = 'dpmsolver++', solver_type: Any = 'midpoint', lower_order_final: Any = True, euler_at_final: Any = False, final_sigmas_type: Any = 'zero') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class EDMEulerScheduler(Preconditioned, StepIndex, SchedulerMixin):
    """`EDMEulerScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, sigma_min: Any = 0.002, sigma_max: Any = 80.0, sigma_data: Any = 0.5, sigma_schedule: Any = 'karras', num_train_timesteps: Any = 1000, prediction_type: Any = 'epsilon', rho: Any = 7.0, final_sigmas_type: Any = 'zero') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, sigmas: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            sigmas (Sequence[float]): The noise levels of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, s_churn: Any = 0.0, s_tmin: Any = 0.0, s_tmax: Any = ..., s_noise: Any = 1.0, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True, pred_original_sample: Any = None) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class EulerAncestralDiscreteScheduler(StepIndex, SchedulerMixin):
    """`EulerAncestralDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, prediction_type: Any = 'epsilon', timestep_spacing: Any = 'linspace', steps_offset: Any = 0, rescale_betas_zero_snr: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class EulerDiscreteScheduler(StepIndex, VelocityAtLevels, SchedulerMixin):
    """`EulerDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, prediction_type: Any = 'epsilon', interpolation_type: Any = 'linear', use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, sigma_min: Any = None, sigma_max: Any = None, timestep_spacing: Any = 'linspace', timestep_type: Any = 'discrete', steps_offset: Any = 0, rescale_betas_zero_snr: Any = False, final_sigmas_type: Any = 'zero') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, timesteps: Any = None, sigmas: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
            sigmas (Sequence[float]): The noise levels of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, s_churn: Any = 0.0, s_tmin: Any = 0.0, s_tmax: Any = ..., s_noise: Any = 1.0, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class FlowMatchEulerDiscreteScheduler(PerToken, Shift, StepIndex, TimeShift, TrainedLevels, FlowSchedulerMixin, SchedulerMixin):
    """`FlowMatchEulerDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, shift: Any = 1.0, use_dynamic_shifting: Any = False, base_shift: Any = 0.5, max_shift: Any = 1.15, base_image_seq_len: Any = 256, max_image_seq_len: Any = 4096, invert_sigmas: Any = False, shift_terminal: Any = None, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, time_shift_type: Any = 'exponential', stochastic_sampling: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, sigmas: Any = None, mu: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            sigmas (Sequence[float]): The noise levels of the run instead, in descending order.
            mu (float): The shift of the noise levels of a flow.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, s_churn: Any = 0.0, s_tmin: Any = 0.0, s_tmax: Any = ..., s_noise: Any = 1.0, generator: GeneratorLike | list[GeneratorLike] | None = None, per_token_timesteps: Any = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class FlowMatchHeunDiscreteScheduler(HalfSteps, StepIndex, TrainedLevels, FlowSchedulerMixin, SchedulerMixin):
    """`FlowMatchHeunDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, shift: Any = 1.0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, s_churn: Any = 0.0, s_tmin: Any = 0.0, s_tmax: Any = ..., s_noise: Any = 1.0, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class FlowMatchLCMScheduler(Growing, Shift, StepIndex, TimeShift, TrainedLevels, FlowSchedulerMixin, SchedulerMixin):
    """`FlowMatchLCMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, shift: Any = 1.0, use_dynamic_shifting: Any = False, base_shift: Any = 0.5, max_shift: Any = 1.15, base_image_seq_len: Any = 256, max_image_seq_len: Any = 4096, invert_sigmas: Any = False, shift_terminal: Any = None, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, time_shift_type: Any = 'exponential', scale_factors: Any = None, upscale_mode: Any = 'bicubic') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, sigmas: Any = None, mu: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            sigmas (Sequence[float]): The noise levels of the run instead, in descending order.
            mu (float): The shift of the noise levels of a flow.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class FlowSchedulerMixin:
    """What schedulers of flows do besides: diffusers has another name for adding noise to their samples."""

    def scale_noise(self, sample: ArrayLike, timestep: int | float | ArrayLike, noise: Any) -> Any:
        """Adds noise to clean samples, to each up to the level of its timestep."""

class Flux2KleinInpaintPipeline(DiffusionPipeline):
    """`Flux2KleinInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, image_reference: ImageInput | None = None, padding_mask_crop: int | None = None, strength: float = 0.8, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 8.0, negative_prompt_embeds: ArrayLike | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, max_sequence_length: int = 512, text_encoder_out_layers: int | Sequence[int] | ArrayLike = ..., output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: Flux2KleinInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as a patch has values is treated as latents in patches.
            image_reference (ImageInput): Further images to look at, all of the size of the first: one for all prompts, one for each, or several for all of them.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16.
            width (int): Width of the images in pixels, rounded down to a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; distilled models need 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with an empty prompt, towards that with the prompt; up to 1 there is no guidance. Distilled models ignore it.
            negative_prompt_embeds (ArrayLike): Embedded empty prompts, or others of what not to show, `[1 or prompts, tokens, features]`.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, in patches of 2 by 2 latents: `[images, 4 * channels, height / 16, width / 16]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            max_sequence_length (int): The tokens of a prompt with the words around it that the language model expects: more are cut off, fewer filled up.
            text_encoder_out_layers (int | Sequence[int] | ArrayLike): The layers of the language model whose hidden states embed a prompt.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step, with the latents in patches.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class Flux2KleinKVPipeline(DiffusionPipeline):
    """`Flux2KleinKVPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 4, sigmas: float | Sequence[float] | ArrayLike | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, max_sequence_length: int = 512, text_encoder_out_layers: int | Sequence[int] | ArrayLike = ..., output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: Flux2KleinKVPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to look at: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are made smaller.
            height (int): Height of the images in pixels, rounded down to a multiple of 16.
            width (int): Width of the images in pixels, rounded down to a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; distilled models need 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, in patches of 2 by 2 latents: `[images, 4 * channels, height / 16, width / 16]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            max_sequence_length (int): The tokens of a prompt with the words around it that the language model expects: more are cut off, fewer filled up.
            text_encoder_out_layers (int | Sequence[int] | ArrayLike): The layers of the language model whose hidden states embed a prompt.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step, with the latents in patches.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class Flux2KleinPipeline(DiffusionPipeline):
    """`Flux2KleinPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 4.0, negative_prompt_embeds: ArrayLike | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, max_sequence_length: int = 512, text_encoder_out_layers: int | Sequence[int] | ArrayLike = ..., output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: Flux2KleinPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to look at: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are made smaller.
            height (int): Height of the images in pixels, rounded down to a multiple of 16.
            width (int): Width of the images in pixels, rounded down to a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; distilled models need 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with an empty prompt, towards that with the prompt; up to 1 there is no guidance. Distilled models ignore it.
            negative_prompt_embeds (ArrayLike): Embedded empty prompts, or others of what not to show, `[1 or prompts, tokens, features]`.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, in patches of 2 by 2 latents: `[images, 4 * channels, height / 16, width / 16]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            max_sequence_length (int): The tokens of a prompt with the words around it that the language model expects: more are cut off, fewer filled up.
            text_encoder_out_layers (int | Sequence[int] | ArrayLike): The layers of the language model whose hidden states embed a prompt.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step, with the latents in patches.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class Flux2Pipeline(DiffusionPipeline):
    """`Flux2Pipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, caption_upsample_temperature: float | None = None, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 4.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, max_sequence_length: int = 512, text_encoder_out_layers: int | Sequence[int] | ArrayLike = ..., output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: Flux2Pipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to look at, all of them for each prompt: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are made smaller.
            caption_upsample_temperature (float): How freely the text encoder first writes the prompts anew, with more details: the temperature with which words are drawn. 0.15 is recommended; nothing or 0 leaves the prompts as they are. Not with images.
            height (int): Height of the images in pixels, rounded down to a multiple of 16.
            width (int): Width of the images in pixels, rounded down to a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; distilled models need 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, in patches of 2 by 2 latents: `[images, 4 * channels, height / 16, width / 16]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            max_sequence_length (int): The tokens of a prompt with the words around it that the language model expects: more are cut off, fewer filled up.
            text_encoder_out_layers (int | Sequence[int] | ArrayLike): The layers of the language model whose hidden states embed a prompt.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step, with the latents in patches.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class Flux2Transformer2DModel(ModelMixin):
    """`Flux2Transformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Flux2Transformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 4]`, or of each item, `[batch, tokens, 4]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Flux2Transformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 4]`, or of each item, `[batch, tokens, 4]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class FluxControlImg2ImgPipeline(DiffusionPipeline):
    """`FluxControlImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, control_image: ImageInput | None = None, *, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxControlImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to start from: one for all prompts, or one for each.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each. A tensor is taken as it is, with values in [-1, 1].
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxControlInpaintPipeline(DiffusionPipeline):
    """`FluxControlInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, control_image: ImageInput | None = None, *, masked_image_latents: ArrayLike | None = None, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxControlInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each. A tensor is taken as it is, with values in [-1, 1].
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect: the transformer does not look at the image without its masked part.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxControlNetImg2ImgPipeline(DiffusionPipeline):
    """`FluxControlNetImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, control_image: ImageInput | None = None, *, strength: float = 0.6, control_mode: int | Sequence[int] | ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxControlNetImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; for several ControlNets or kinds of images, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            control_mode (int | Sequence[int] | ArrayLike): The kind of each image, for ControlNets that follow several kinds.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxControlNetInpaintPipeline(DiffusionPipeline):
    """`FluxControlNetInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, control_image: ImageInput | None = None, *, masked_image_latents: ArrayLike | None = None, strength: float = 0.6, padding_mask_crop: int | None = None, control_mode: int | Sequence[int] | ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxControlNetInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect, as in Python: the transformer does not look at the image without its masked part.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; for several ControlNets or kinds of images, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            control_mode (int | Sequence[int] | ArrayLike): The kind of each image, for ControlNets that follow several kinds.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxControlNetModel(ModelMixin):
    """`FluxControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, controlnet_cond: Any | None = None, controlnet_mode: int | Sequence[int] | ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the FluxControlNetModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            controlnet_cond (Any): The image to follow: tokens `[batch, tokens, in_channels]`, or pixels `[batch, 3, height, width]` for a model that embeds them itself.
            controlnet_mode (int | Sequence[int] | ArrayLike): The kind of image of each item, for a union model.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, controlnet_cond: Any | None = None, controlnet_mode: int | Sequence[int] | ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the FluxControlNetModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            controlnet_cond (Any): The image to follow: tokens `[batch, tokens, in_channels]`, or pixels `[batch, 3, height, width]` for a model that embeds them itself.
            controlnet_mode (int | Sequence[int] | ArrayLike): The kind of image of each item, for a union model.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class FluxControlNetPipeline(DiffusionPipeline):
    """`FluxControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, control_image: ImageInput | None = None, *, control_mode: int | Sequence[int] | ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, true_cfg_scale: float = 1.0, negative_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, negative_ip_adapter_image: ImageInput | None = None, negative_ip_adapter_image_embeds: Any | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; for several ControlNets or kinds of images, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            control_mode (int | Sequence[int] | ArrayLike): The kind of each image, for ControlNets that follow several kinds.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[1 or prompts, features]`.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are not to be shown.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
            negative_ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
            negative_ip_adapter_image_embeds (Any): Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxControlPipeline(DiffusionPipeline):
    """`FluxControlPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, control_image: ImageInput | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 3.5, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxControlPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxFillPipeline(DiffusionPipeline):
    """`FluxFillPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, strength: float = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 30.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxFillPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to fill in part: one for all prompts, or one for each.
            mask_image (ImageInput): The masks, white where to fill and black where to keep the image: one for all images, or one for each.
            strength (float): How much noise to begin with, from 0 to 1; at 1 the run begins with noise alone.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxImg2ImgPipeline(DiffusionPipeline):
    """`FluxImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, true_cfg_scale: float = 1.0, negative_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, negative_ip_adapter_image: ImageInput | None = None, negative_ip_adapter_image_embeds: Any | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[1 or prompts, features]`.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are not to be shown.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
            negative_ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
            negative_ip_adapter_image_embeds (Any): Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxInpaintPipeline(DiffusionPipeline):
    """`FluxInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, masked_image_latents: ArrayLike | None = None, padding_mask_crop: int | None = None, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, true_cfg_scale: float = 1.0, negative_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, negative_ip_adapter_image: ImageInput | None = None, negative_ip_adapter_image_embeds: Any | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect, as in Python: the transformer does not look at the image without its masked part.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[1 or prompts, features]`.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are not to be shown.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
            negative_ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
            negative_ip_adapter_image_embeds (Any): Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxKontextInpaintPipeline(DiffusionPipeline):
    """`FluxKontextInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, image_reference: ImageInput | None = None, strength: float = 1.0, padding_mask_crop: int | None = None, max_area: int = 1048576, _auto_resize: bool = True, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 3.5, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, true_cfg_scale: float = 1.0, negative_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, negative_ip_adapter_image: ImageInput | None = None, negative_ip_adapter_image_embeds: Any | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxKontextInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each.
            image_reference (ImageInput): Another image to look at, instead of the image itself.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            max_area (int): Has no effect, as in Python: the size of the image takes the place of what follows from it.
            _auto_resize (bool): Whether the images are resized to sizes that the model was trained on.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[1 or prompts, features]`.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are not to be shown.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
            negative_ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
            negative_ip_adapter_image_embeds (Any): Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxKontextPipeline(DiffusionPipeline):
    """`FluxKontextPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, max_area: int = 1048576, _auto_resize: bool = True, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 3.5, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, true_cfg_scale: float = 1.0, negative_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, negative_ip_adapter_image: ImageInput | None = None, negative_ip_adapter_image_embeds: Any | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxKontextPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            image (ImageInput): The image to edit: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            max_area (int): The area of the result in pixels.
            _auto_resize (bool): Whether the image is resized to a size that the model was trained on.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[1 or prompts, features]`.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are not to be shown.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
            negative_ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
            negative_ip_adapter_image_embeds (Any): Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxMultiControlNetModel(Several):
    """`FluxMultiControlNetModel` of diffusers: several FluxControlNetModel objects as one part of a pipeline."""

class FluxPipeline(DiffusionPipeline):
    """`FluxPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 3.5, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, true_cfg_scale: float = 1.0, negative_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, negative_ip_adapter_image: ImageInput | None = None, negative_ip_adapter_image_embeds: Any | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: FluxPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder, which reads them word by word; by default those of the first.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[1 or prompts, features]`.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are not to be shown.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
            negative_ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
            negative_ip_adapter_image_embeds (Any): Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was trained with 256.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class FluxPriorReduxPipeline(MovingMixin):
    """`FluxPriorReduxPipeline` of diffusers: turns images into embedded prompts for pipelines of FLUX.1.

    >>> prompt = redux(image)
    >>> image = pipeline(**prompt, guidance_scale=2.5).images[0]
    """

    def __call__(self, image: Any = None, prompt: str | list[str] | None = None, prompt_2: Any = None, prompt_embeds: Any = None, pooled_prompt_embeds: Any = None, prompt_embeds_scale: Any = 1.0, pooled_prompt_embeds_scale: Any = 1.0, return_dict: bool = True) -> Any:
        """Embeds images, after a prompt if there are text encoders, as the prompt of a call.

        Args:
            image (ImageInput): The images; several become one prompt, the sum of theirs.
            prompt (str | list[str]): The prompts: one for all images, or one for each. They need text encoders, which the checkpoint does not have.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_embeds (ArrayLike): Embedded prompts, `[images, tokens, features]`, instead of `prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[images, features]`, to be given with `prompt_embeds`.
            prompt_embeds_scale (float | Sequence[float] | ArrayLike): A factor of the result: one number, or one for each image.
            pooled_prompt_embeds_scale (float | Sequence[float] | ArrayLike): A factor of the pooled result: one number, or one for each image.

        Returns:
            An output with `prompt_embeds` and `pooled_prompt_embeds`; with `return_dict=False`, a tuple of them.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
        """

    def __getattr__(self, name: Any) -> Any: ...

    def __init__(self, **parts: Any) -> None: ...

    def __repr__(self) -> str: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

    @property
    def components(self) -> dict[str, Any]:
        """The parts by name; `None` for those that are not there."""

    config_name: str

    @property
    def dtype(self) -> Any:
        """The element type of the models."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> Self:
        """Loads the pipeline from a folder or from the hub.

        Args:
            pretrained_model_name_or_path (str): The folder, or the name of a repository.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16.
            variant (str), revision (str), cache_dir (str), token (str), local_files_only (bool): As for other pipelines.
            text_encoder, tokenizer, text_encoder_2, tokenizer_2: Those of a pipeline of FLUX.1, so that a call takes prompts.
            image_encoder, image_embedder: Parts to use instead of those of the checkpoint.

        Raises:
            OSError: when a file is missing or damaged.
            ValueError: when a configuration has a value that its class does not know, or a part does not fit.
        """

    model_cpu_offload_seq: str

    def save_pretrained(self, save_directory: Any, safe_serialization: Any = True, variant: Any = None, max_shard_size: Any = None, push_to_hub: Any = False, **kwargs: Any) -> None:
        """Writes the pipeline into a folder, which is created if it does not exist: see `DiffusionPipeline.save_pretrained`."""

class FluxTransformer2DModel(ModelMixin):
    """`FluxTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, controlnet_block_samples: Any | None = None, controlnet_single_block_samples: Any | None = None, controlnet_blocks_repeat: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the FluxTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt: one for all items, or one for each.
            controlnet_block_samples (Any): What ControlNets add after the blocks with two streams, each `[batch, tokens, dim]`.
            controlnet_single_block_samples (Any): What they add after the blocks with one stream, likewise.
            controlnet_blocks_repeat (bool): Whether the additions are used from the first on again, where there are fewer than blocks.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_ids: Any | None = None, txt_ids: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, controlnet_block_samples: Any | None = None, controlnet_single_block_samples: Any | None = None, controlnet_blocks_repeat: bool = False, return_dict: bool = True, **others: Any) -> Any:
        """Calls the FluxTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_ids (Any): The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
            txt_ids (Any): The places of the prompts' tokens, as `img_ids`.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt: one for all items, or one for each.
            controlnet_block_samples (Any): What ControlNets add after the blocks with two streams, each `[batch, tokens, dim]`.
            controlnet_single_block_samples (Any): What they add after the blocks with one stream, likewise.
            controlnet_blocks_repeat (bool): Whether the additions are used from the first on again, where there are fewer than blocks.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class FromUNetMixin:
    """Models that begin as a copy of a UNet."""

    @classmethod
    def from_unet(cls, unet: Any, controlnet_conditioning_channel_order: Any = 'rgb', conditioning_embedding_out_channels: Any = ..., load_weights_from_unet: Any = True, conditioning_channels: Any = 3) -> Any:
        """A ControlNet with the layers of a UNet up to its middle, and their weights. What it adds is 0 until it is trained.

        Args:
            unet (UNet2DConditionModel): The UNet.
            controlnet_conditioning_channel_order (str): The order of the colours of the image: `"rgb"` or `"bgr"`.
            conditioning_embedding_out_channels (Sequence[int]): The channels of the convolutions that embed the image.
            load_weights_from_unet (bool): Whether to copy the weights; otherwise they are random.
            conditioning_channels (int): The channels of the image.
        """

class FrozenDict(OrderedDict):
    """A mapping that cannot be changed: `config["sample_size"]` and `config.sample_size`."""

    def __delitem__(self, name: Any) -> Any: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

    def __setitem__(self, name: Any, value: Any) -> Any: ...

    def _repr_html_(self) -> str: ...

    def pop(self, *args: Any, **kwargs: Any) -> Any:
        """od.pop(key[,default]) -> v, remove specified key and return the corresponding value.

        If the key is not found, return the default if given; otherwise,
        raise a KeyError.
        """

    def setdefault(self, *args: Any, **kwargs: Any) -> Any:
        """Insert key with a value of default if key is not in the dictionary.

        Return the value for key if key is in the dictionary, else default.
        """

    def update(self, *args: Any, **kwargs: Any) -> Any:
        """D.update([E, ]**F) -> None.  Update D from dict/iterable E and F.
        If E is present and has a .keys() method, then does:  for k in E: D[k] = E[k]
        If E is present and lacks a .keys() method, then does:  for k, v in E: D[k] = v
        In either case, this is followed by: for k in F:  D[k] = F[k]
        """

class GGUFQuantizationConfig:
    """For `from_single_file` of models: the file is a GGUF file. `compute_dtype` is the type to compute in, by default that which is
    given when loading; the package has one for all weights of a model.
    """

    def __eq__(self, other: Any) -> Any: ...  # type: ignore[override]

    def __init__(self, compute_dtype: Any = None) -> None: ...

    def __repr__(self) -> str: ...

class Gemma2Model(ModelMixin):
    """`Gemma2Model` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Gemma2Model.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Gemma2Model.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class Generator:
    """A generator with the random numbers of PyTorch's CPU generator: `oxidiff.Generator(0)` is
    `torch.Generator().manual_seed(0)`, and a call continues where the call before it stopped.
    """

    def __init__(self, seed: Any = None, *, device: Any = None) -> None: ...

    def __repr__(self) -> str: ...

    def __setstate__(self, state: Any) -> Any: ...

    @property
    def device(self) -> Any:
        """The device that numbers are drawn on: always the CPU."""

    def get_state(self) -> bytes:
        """The state, which is also one of `torch.Generator` (as bytes)."""

    def initial_seed(self) -> int:
        """The seed that the generator started from."""

    def manual_seed(self, seed: Any) -> Generator:
        """Starts again from a seed. Returns the generator."""

    def seed(self) -> int:
        """Starts again from a seed of the operating system, and returns it."""

    def set_state(self, state: Any) -> Generator:
        """Continues from a state."""

class Growing:
    """Schedulers whose samples grow during the run."""

    def set_scale_factors(self, scale_factors: Any, upscale_mode: Any) -> Any:
        """Sets how the sample grows from step to step, by factors and a mode of interpolation such as `"bicubic"`."""

class HalfSteps:
    """Methods of the second order, which call the model twice for a step."""

    @property
    def state_in_first_order(self) -> Any:
        """Whether the next call of `step` begins a step, rather than finishing one."""

class HeunDiscreteScheduler(HalfSteps, StepIndex, SchedulerMixin):
    """`HeunDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.00085, beta_end: Any = 0.012, beta_schedule: Any = 'linear', trained_betas: Any = None, prediction_type: Any = 'epsilon', use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, clip_sample: Any = False, clip_sample_range: Any = 1.0, timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, num_train_timesteps: Any = None, timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            num_train_timesteps (int): The timesteps of the training to spread the run over, instead of the configuration's.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class HunyuanDiT2DControlNetModel(ModelMixin):
    """`HunyuanDiT2DControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, text_embedding_mask: ArrayLike | None = None, encoder_hidden_states_t5: ArrayLike | None = None, text_embedding_mask_t5: ArrayLike | None = None, image_meta_size: ArrayLike | None = None, style: int | Sequence[int] | ArrayLike | None = None, image_rotary_emb: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the HunyuanDiT2DControlNetModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.
            controlnet_cond (ArrayLike): The latents of the image to follow, of the shape of `hidden_states`.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The prompts as the first text encoder embeds them, `[batch, text_len, cross_attention_dim]`.
            text_embedding_mask (ArrayLike): Which of its tokens count, `[batch, text_len]`: those that are not 0.
            encoder_hidden_states_t5 (ArrayLike): The prompts as T5 embeds them, `[batch, text_len_t5, cross_attention_dim_t5]`.
            text_embedding_mask_t5 (ArrayLike): Which of its tokens count, `[batch, text_len_t5]`: those that are not 0.
            image_meta_size (ArrayLike): For each item the height and width of the original, those of the result, and from where on it was cropped, `[batch, 6]`.
            style (int | Sequence[int] | ArrayLike): The style of each item. There is one, 0.
            image_rotary_emb (Any): By how much places turn the features of a head: cosines and sines, each `[patches, attention_head_dim]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, text_embedding_mask: ArrayLike | None = None, encoder_hidden_states_t5: ArrayLike | None = None, text_embedding_mask_t5: ArrayLike | None = None, image_meta_size: ArrayLike | None = None, style: int | Sequence[int] | ArrayLike | None = None, image_rotary_emb: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the HunyuanDiT2DControlNetModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.
            controlnet_cond (ArrayLike): The latents of the image to follow, of the shape of `hidden_states`.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The prompts as the first text encoder embeds them, `[batch, text_len, cross_attention_dim]`.
            text_embedding_mask (ArrayLike): Which of its tokens count, `[batch, text_len]`: those that are not 0.
            encoder_hidden_states_t5 (ArrayLike): The prompts as T5 embeds them, `[batch, text_len_t5, cross_attention_dim_t5]`.
            text_embedding_mask_t5 (ArrayLike): Which of its tokens count, `[batch, text_len_t5]`: those that are not 0.
            image_meta_size (ArrayLike): For each item the height and width of the original, those of the result, and from where on it was cropped, `[batch, 6]`.
            style (int | Sequence[int] | ArrayLike): The style of each item. There is one, 0.
            image_rotary_emb (Any): By how much places turn the features of a head: cosines and sines, each `[patches, attention_head_dim]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class HunyuanDiT2DModel(ModelMixin):
    """`HunyuanDiT2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, text_embedding_mask: ArrayLike | None = None, encoder_hidden_states_t5: ArrayLike | None = None, text_embedding_mask_t5: ArrayLike | None = None, image_meta_size: ArrayLike | None = None, style: int | Sequence[int] | ArrayLike | None = None, image_rotary_emb: Any | None = None, controlnet_block_samples: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the HunyuanDiT2DModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The prompts as the first text encoder embeds them, `[batch, text_len, cross_attention_dim]`.
            text_embedding_mask (ArrayLike): Which of its tokens count, `[batch, text_len]`: those that are not 0.
            encoder_hidden_states_t5 (ArrayLike): The prompts as T5 embeds them, `[batch, text_len_t5, cross_attention_dim_t5]`.
            text_embedding_mask_t5 (ArrayLike): Which of its tokens count, `[batch, text_len_t5]`: those that are not 0.
            image_meta_size (ArrayLike): For each item the height and width of the original, those of the result, and from where on it was cropped, `[batch, 6]`.
            style (int | Sequence[int] | ArrayLike): The style of each item. There is one, 0.
            image_rotary_emb (Any): By how much places turn the features of a head: cosines and sines, each `[patches, attention_head_dim]`.
            controlnet_block_samples (Any): What ControlNets add to the results of the first half's blocks, each `[batch, tokens, hidden_size]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, text_embedding_mask: ArrayLike | None = None, encoder_hidden_states_t5: ArrayLike | None = None, text_embedding_mask_t5: ArrayLike | None = None, image_meta_size: ArrayLike | None = None, style: int | Sequence[int] | ArrayLike | None = None, image_rotary_emb: Any | None = None, controlnet_block_samples: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the HunyuanDiT2DModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The prompts as the first text encoder embeds them, `[batch, text_len, cross_attention_dim]`.
            text_embedding_mask (ArrayLike): Which of its tokens count, `[batch, text_len]`: those that are not 0.
            encoder_hidden_states_t5 (ArrayLike): The prompts as T5 embeds them, `[batch, text_len_t5, cross_attention_dim_t5]`.
            text_embedding_mask_t5 (ArrayLike): Which of its tokens count, `[batch, text_len_t5]`: those that are not 0.
            image_meta_size (ArrayLike): For each item the height and width of the original, those of the result, and from where on it was cropped, `[batch, 6]`.
            style (int | Sequence[int] | ArrayLike): The style of each item. There is one, 0.
            image_rotary_emb (Any): By how much places turn the features of a head: cosines and sines, each `[patches, attention_head_dim]`.
            controlnet_block_samples (Any): What ControlNets add to the results of the first half's blocks, each `[batch, tokens, hidden_size]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class HunyuanDiT2DMultiControlNetModel(Several):
    """`HunyuanDiT2DMultiControlNetModel` of diffusers: several HunyuanDiT2DControlNetModel objects as one part of a pipeline."""

class HunyuanDiTControlNetPipeline(DiffusionPipeline):
    """`HunyuanDiTControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, control_image: ImageInput | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, guidance_scale: float = 5.0, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_2: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_2: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, prompt_attention_mask_2: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask_2: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, guidance_rescale: float = 0.0, original_size: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., use_resolution_binning: bool = True, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: HunyuanDiTControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; with several ControlNets, one for each of them. They are resized to the size of the result; a tensor is taken as it is, with values in [-1, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt. With prompts of several lengths, tokens count in other images than those of their prompt, as in Python.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `prompt`.
            prompt_embeds_2 (ArrayLike): Prompts as T5 embeds them, `[prompts, 256, features]`.
            negative_prompt_embeds (ArrayLike): Negative prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_2 (ArrayLike): Negative prompts as T5 embeds them, `[prompts, 256, features]`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, 77]`: those that are not 0.
            prompt_attention_mask_2 (ArrayLike): The same for `prompt_embeds_2`, `[prompts, 256]`.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            negative_prompt_attention_mask_2 (ArrayLike): The same for `negative_prompt_embeds_2`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it in versions up to 1.1, height and width.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as these models are conditioned on it, height and width; by default the actual size.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as these models are conditioned on it: how much was cut off at the top and at the left.
            use_resolution_binning (bool): Whether images have the size nearest to the asked for among 1024x1024, 1280x1280, 1024x768, 1152x864, 1280x960, 768x1024, 864x1152, 960x1280, 1280x768, and 768x1280.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class HunyuanDiTPAGPipeline(DiffusionPipeline):
    """`HunyuanDiTPAGPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, guidance_scale: float = 5.0, pag_scale: float = 3.0, pag_adaptive_scale: float = 0.0, pag_applied_layers: str | list[str] | None = None, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_2: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_2: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, prompt_attention_mask_2: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask_2: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, guidance_rescale: float = 0.0, original_size: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., use_resolution_binning: bool = True, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: HunyuanDiTPAGPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            pag_scale (float): How far to go away from the prediction whose tokens see only themselves in some layers; 0 turns it off.
            pag_adaptive_scale (float): By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
            pag_applied_layers (str | list[str]): The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.14.attn1`.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt. With prompts of several lengths, tokens count in other images than those of their prompt, as in Python.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `prompt`.
            prompt_embeds_2 (ArrayLike): Prompts as T5 embeds them, `[prompts, 256, features]`.
            negative_prompt_embeds (ArrayLike): Negative prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_2 (ArrayLike): Negative prompts as T5 embeds them, `[prompts, 256, features]`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, 77]`: those that are not 0.
            prompt_attention_mask_2 (ArrayLike): The same for `prompt_embeds_2`, `[prompts, 256]`.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            negative_prompt_attention_mask_2 (ArrayLike): The same for `negative_prompt_embeds_2`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it in versions up to 1.1, height and width.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as these models are conditioned on it, height and width; by default the actual size.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as these models are conditioned on it: how much was cut off at the top and at the left.
            use_resolution_binning (bool): Whether images have the size nearest to the asked for among 1024x1024, 1280x1280, 1024x768, 1152x864, 1280x960, 768x1024, 864x1152, 960x1280, 1280x768, and 768x1280.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class HunyuanDiTPipeline(DiffusionPipeline):
    """`HunyuanDiTPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, guidance_scale: float = 5.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_2: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_2: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, prompt_attention_mask_2: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask_2: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, guidance_rescale: float = 0.0, original_size: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., use_resolution_binning: bool = True, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: HunyuanDiTPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt. With prompts of several lengths, tokens count in other images than those of their prompt, as in Python.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `prompt`.
            prompt_embeds_2 (ArrayLike): Prompts as T5 embeds them, `[prompts, 256, features]`.
            negative_prompt_embeds (ArrayLike): Negative prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_2 (ArrayLike): Negative prompts as T5 embeds them, `[prompts, 256, features]`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, 77]`: those that are not 0.
            prompt_attention_mask_2 (ArrayLike): The same for `prompt_embeds_2`, `[prompts, 256]`.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            negative_prompt_attention_mask_2 (ArrayLike): The same for `negative_prompt_embeds_2`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it in versions up to 1.1, height and width.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as these models are conditioned on it, height and width; by default the actual size.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as these models are conditioned on it: how much was cut off at the top and at the left.
            use_resolution_binning (bool): Whether images have the size nearest to the asked for among 1024x1024, 1280x1280, 1024x768, 1152x864, 1280x960, 768x1024, 864x1152, 960x1280, 1280x768, and 768x1280.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class IPAdapterMixin:
    """Methods of pipelines that take pictures as prompts."""

    def disable_freeu(self) -> Any:
        """Turns FreeU off."""

    def enable_freeu(self, s1: Any, s2: Any, b1: Any, b2: Any) -> Any:
        """Turns FreeU on: factors of the skips (`s1`, `s2`) and of what comes from below (`b1`, `b2`) in two blocks of the UNet."""

    def load_ip_adapter(self, pretrained_model_name_or_path_or_dict: Any, subfolder: str | None = '', weight_name: Any = None, image_encoder_folder: Any = 'image_encoder', image_encoder_pretrained_model_name_or_path: Any = ..., image_encoder_subfolder: Any = '', image_encoder_dtype: Any = None, **kwargs: Any) -> Any:
        """Loads one or several IP-Adapters, in place of those that are loaded, and an image encoder if the pipeline has none.

        Args:
            pretrained_model_name_or_path_or_dict (str or list of str): The folder, the file, or the name of a repository.
            subfolder (str or list of str): The folder of the file in it.
            weight_name (str or list of str): The file.
            image_encoder_folder (str): The folder of the image encoder: beside the file, or if it contains a slash, in the
                folder or repository; with FLUX.1 and Stable Diffusion 3, it can also be a folder or a repository of its own.
                `None` loads none, so that calls take `ip_adapter_image_embeds` only.
            image_encoder_pretrained_model_name_or_path (str): Another name of `image_encoder_folder`, for FLUX.1.
            image_encoder_subfolder (str): The folder of the image encoder in that one, which must be on disk.
            image_encoder_dtype: Ignored: the image encoder computes in the type of the pipeline.

        Raises:
            OSError: when there is no such file, it holds no IP-Adapter, or one that was made for another UNet.
        """

    def prepare_ip_adapter_image_embeds(self, ip_adapter_image: Any, ip_adapter_image_embeds: Any, device: Any = None, num_images_per_prompt: Any = 1, do_classifier_free_guidance: Any = True) -> Any:
        """Embeds the pictures of each IP-Adapter; with guidance, the embedding of no picture comes first."""

    def set_ip_adapter_scale(self, scale: Any) -> Any:
        """Sets how strongly the pictures of each IP-Adapter count: a number, `{"down": {"block_2": [0.0, 1.0]}, "up": 0.5}` for the
        blocks of the UNet, of which others do not count, or a list with one for each adapter. With masks, an adapter can have a
        list of a number for each picture. FLUX.1 takes a number for all adapters, or for one adapter a list with a number for each
        block, or a list with one of these for each adapter.
        """

    def unload_ip_adapter(self) -> Any:
        """Removes the IP-Adapters and their image encoder."""

class IPNDMScheduler(StepIndex, SchedulerMixin):
    """`IPNDMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, trained_betas: Any = None) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class ImagePipelineOutput(BaseOutput):
    """The images that a pipeline made."""

class JsonMixin:
    """Objects whose configuration can be written as JSON: `to_json_string` returns it."""

    def to_json_file(self, json_file_path: Any) -> Any:
        """Writes the configuration into a file, as JSON."""

class KDPM2AncestralDiscreteScheduler(HalfSteps, StepIndex, SchedulerMixin):
    """`KDPM2AncestralDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.00085, beta_end: Any = 0.012, beta_schedule: Any = 'linear', trained_betas: Any = None, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, prediction_type: Any = 'epsilon', timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, num_train_timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            num_train_timesteps (int): The timesteps of the training to spread the run over, instead of the configuration's.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class KDPM2DiscreteScheduler(HalfSteps, StepIndex, SchedulerMixin):
    """`KDPM2DiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.00085, beta_end: Any = 0.012, beta_schedule: Any = 'linear', trained_betas: Any = None, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, prediction_type: Any = 'epsilon', timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, num_train_timesteps: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            num_train_timesteps (int): The timesteps of the training to spread the run over, instead of the configuration's.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class LCMScheduler(PreviousTimestep, StepIndex, Velocity, SchedulerMixin):
    """`LCMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.00085, beta_end: Any = 0.012, beta_schedule: Any = 'scaled_linear', trained_betas: Any = None, original_inference_steps: Any = 50, clip_sample: Any = False, clip_sample_range: Any = 1.0, set_alpha_to_one: Any = True, steps_offset: Any = 0, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, timestep_spacing: Any = 'leading', timestep_scaling: Any = 10.0, rescale_betas_zero_snr: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, original_inference_steps: Any = None, timesteps: Any = None, strength: Any = 1.0) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            original_inference_steps (int): The number of steps that the model was distilled with.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
            strength (float): The part of the timesteps that is used when the run starts from an image.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class LMSDiscreteScheduler(StepIndex, SchedulerMixin):
    """`LMSDiscreteScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, prediction_type: Any = 'epsilon', timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, order: Any = 4, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class LatentConsistencyModelImg2ImgPipeline(DiffusionPipeline):
    """`LatentConsistencyModelImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, strength: float = 0.8, latents: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 4, original_inference_steps: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 8.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: LatentConsistencyModelImg2ImgPipeline.

        Args:
            prompt (str | list[str]): What to show: one text for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to start from: one for all prompts, or one for each. Their size is that of the result, rounded down to a multiple of 8. A tensor of four channels is taken for latents.
            strength (float): How much of the image to change, from 0 to 1: the steps are among that part of the timesteps.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`, instead of those of the image with noise.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps.
            original_inference_steps (int): Number of steps that the model was distilled with, from which those of the run are chosen; by default that of the scheduler's configuration.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the run, if the scheduler is not to choose them.
            guidance_scale (float): How strongly the text pulls: an input of the model.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): What to return the images as.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class LatentConsistencyModelPipeline(DiffusionPipeline):
    """`LatentConsistencyModelPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, height: int | None = None, width: int | None = None, latents: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 4, original_inference_steps: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 8.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: LatentConsistencyModelPipeline.

        Args:
            prompt (str | list[str]): What to show: one text for each image of the batch. Empty if `prompt_embeds` is given.
            height (int): Height of the images in pixels, a multiple of 8; by default that of the images that the model was trained on.
            width (int): Width of the images in pixels, a multiple of 8; by default that of the images that the model was trained on.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps.
            original_inference_steps (int): Number of steps that the model was distilled with, from which those of the run are chosen; by default that of the scheduler's configuration.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the run, if the scheduler is not to choose them.
            guidance_scale (float): How strongly the text pulls: an input of the model.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): What to return the images as.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class LoraMixin:
    """Methods of pipelines that load adapters into their models."""

    def delete_adapters(self, adapter_names: Any) -> Any:
        """Removes some adapters."""

    def disable_attention_slicing(self, *args: Any, **kwargs: Any) -> Any:
        """Does nothing: see `enable_attention_slicing`."""

    def disable_lora(self) -> Any:
        """Computes without adapters until `enable_lora`."""

    def disable_xformers_memory_efficient_attention(self, *args: Any, **kwargs: Any) -> Any:
        """Does nothing: attention stays memory-efficient."""

    def enable_attention_slicing(self, *args: Any, **kwargs: Any) -> Any:
        """Does nothing: attention never holds the scores of all pairs of tokens."""

    def enable_lora(self) -> Any:
        """Computes with the active adapters again."""

    def enable_xformers_memory_efficient_attention(self, *args: Any, **kwargs: Any) -> Any:
        """Does nothing: attention is memory-efficient already."""

    def fuse_lora(self, components: Any = None, lora_scale: Any = 1.0, safe_fusing: Any = False, adapter_names: Any = None) -> Any:
        """Merges the active adapters, or those named, into the weights, times `lora_scale`."""

    @property
    def fused_loras(self) -> Any:
        """The adapters that are fused into the weights of one of the models."""

    def get_active_adapters(self) -> Any:
        """The adapters that are active in one of the models."""

    def get_list_adapters(self) -> Any:
        """The adapters of each model."""

    def load_lora_weights(self, pretrained_model_name_or_path_or_dict: Any, adapter_name: Any = None, **kwargs: Any) -> Any:
        """Loads a LoRA from a file, a folder or the hub, which becomes the active adapter.

        Args:
            pretrained_model_name_or_path_or_dict (str): The file, the folder, or the name of a repository.
            adapter_name (str): A name for `set_adapters`; by default `default_0`, `default_1` and so on.
            weight_name (str), subfolder (str): The file in the folder or the repository.

        Raises:
            OSError: when there is no such file, or it holds no LoRA.
        """

    def load_textual_inversion(self, pretrained_model_name_or_path: str, token: Any = None, **kwargs: Any) -> Any:
        """Adds a learned word to the tokenizer and its vectors to the text encoder.

        Args:
            pretrained_model_name_or_path (str): The file, the folder, or the name of a repository.
            token (str): What to write in a prompt; by default the word that the file names.
        """

    @property
    def num_fused_loras(self) -> Any:
        """The number of adapters that are fused into weights."""

    def set_adapters(self, adapter_names: Any, adapter_weights: Any = None) -> Any:
        """Activates adapters, each with a weight: 1 is the adapter as it was trained, 0 has no effect.

        A weight can be a dictionary of a weight for each model: `{"unet": 0.8, "text_encoder": 0.5}`. That of the UNet can again
        be a dictionary: `{"down": 0.5, "mid": 0.8, "up": {"block_0": 0.6, "block_1": [0.4, 0.8, 1.0]}}`.
        """

    def unfuse_lora(self, components: Any = None) -> Any:
        """Removes fused adapters from the weights."""

    def unload_lora_weights(self) -> Any:
        """Removes all adapters. Fused adapters stay in the weights."""

class Lumina2Pipeline(DiffusionPipeline):
    """`Lumina2Pipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, width: int | None = None, height: int | None = None, num_inference_steps: int = 30, guidance_scale: float = 4.0, negative_prompt: str | list[str] | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, system_prompt: str | None = None, cfg_trunc_ratio: float = 1.0, cfg_normalization: bool = True, max_sequence_length: int = 256, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: Lumina2Pipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step takes two calls of the model.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those of the text, 0 for those after them.
            negative_prompt_attention_mask (ArrayLike): The same for `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            system_prompt (str): What the model is told before each prompt; by default, what it was trained with.
            cfg_trunc_ratio (float): The part of the steps after which there is no guidance.
            cfg_normalization (bool): Whether guidance leaves each row of latents as long as it is with the prompt alone.
            max_sequence_length (int): The most tokens of a prompt with what is told before it, up to 512; more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class Lumina2Transformer2DModel(ModelMixin):
    """`Lumina2Transformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, encoder_attention_mask: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Lumina2Transformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 0 (noise) to 1: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, cap_feat_dim]`.
            encoder_attention_mask (ArrayLike): 1 for the tokens of each prompt and 0 for those after them, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, encoder_attention_mask: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Lumina2Transformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The time from 0 (noise) to 1: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, cap_feat_dim]`.
            encoder_attention_mask (ArrayLike): 1 for the tokens of each prompt and 0 for those after them, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class Mistral3ForConditionalGeneration(ModelMixin):
    """`Mistral3ForConditionalGeneration` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Mistral3ForConditionalGeneration.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Mistral3ForConditionalGeneration.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class ModelMixin(MovingModelMixin, JsonMixin):
    """A neural network with a configuration.

    Arrays that go in may be of numpy, torch, mindspore or this package; those that come out are of the same kind.
    """

    def __getattr__(self, name: Any) -> Any: ...

    def __init__(self, **kwargs: Any) -> None: ...

    def __repr__(self) -> str: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

    def _repr_html_(self) -> str: ...

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Does nothing: the model is compiled already."""

    @property
    def config(self) -> FrozenDict:
        """The configuration: a mapping that cannot be changed, whose values are also attributes."""

    config_name: str

    def disable_xformers_memory_efficient_attention(self) -> Any:
        """Does nothing: attention stays memory-efficient."""

    @property
    def dtype(self) -> Any:
        """The element type of the weights."""

    def enable_xformers_memory_efficient_attention(self, attention_op: Any = None) -> Any:
        """Does nothing: attention is memory-efficient already."""

    def eval(self) -> Self:
        """Returns the model, which is always in the state for inference."""

    @classmethod
    def from_config(cls, config: Any, **kwargs: Any) -> Self:
        """A model with initial weights and the configuration of another."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> Self:
        """Loads a model from a folder or from the hub.

        Args:
            pretrained_model_name_or_path (str): The folder, or the name of a repository.
            subfolder (str): The folder in it, for a model that is part of a pipeline: `"unet"`.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16.
            variant (str): Which variant of the weights to read: `"fp16"`.
            revision (str), cache_dir (str), token (str), local_files_only (bool): See `huggingface_hub`.
            quantization_config (QuantizationConfig): How to round the weights.
            device_map: The device to compute on: `"cuda"`, `"cuda:1"` or `"cpu"`; `"auto"` is the CPU.

        Other keyword arguments are values for fields of the model's configuration.

        Raises:
            OSError: when a file is missing or damaged.
            ValueError: when a value of the configuration is none that the class knows.
        """

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path_or_dict: Any, **kwargs: Any) -> Self:
        """Loads a model out of a checkpoint in its original layout, which is one file: a path or a link to the hub.

        Args:
            pretrained_model_link_or_path_or_dict (str): The file: safetensors, GGUF or a pickle.
            config (str), subfolder (str): Where the configuration is; by default that which the package holds for models of this kind.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16.
            quantization_config: A `QuantizationConfig` to round the weights with, or a `GGUFQuantizationConfig` for a GGUF file,
                which is not needed.
        """

    @property
    def is_cache_enabled(self) -> Any:
        """False: `enable_cache` is not supported."""

    @classmethod
    def load_config(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> Any:
        """The configuration in a folder or on the hub."""

    def num_parameters(self, only_trainable: Any = False, exclude_embeddings: Any = False) -> int:
        """The number of parameters."""

    def requires_grad_(self, requires_grad: Any = True) -> Any:
        """Returns the model, which computes no gradients."""

    def reset_attention_backend(self) -> Any:
        """Does nothing: there is one backend."""

    def save_pretrained(self, save_directory: Any, is_main_process: Any = True, safe_serialization: Any = True, variant: Any = None, max_shard_size: Any = None, push_to_hub: Any = False, **kwargs: Any) -> None:
        """Writes `config.json` and the weights into a folder, which is created if it does not exist.

        Args:
            save_directory (str): The folder.
            variant (str): What stands in the name of the file: `"fp16"` for `diffusion_pytorch_model.fp16.safetensors`.
            max_shard_size (int or str): How large a file may be: `"5GB"`. Without it, there is one file.
        """

    def set_attention_backend(self, backend: Any) -> Any:
        """Does nothing for `"native"`, which is the library's own attention; there are no other backends.

        Raises:
            NotImplementedError: for other backends.
        """

    def set_attention_slice(self, slice_size: Any = 'auto') -> Any:
        """Does nothing: attention never holds the scores of all pairs of tokens."""

    def to_json_string(self) -> str:
        """The configuration as JSON, as it is saved."""

    def train(self, mode: Any = True) -> Any:
        """Refuses training."""

    @property
    def training(self) -> Any:
        """False: the model is always in the state for inference."""

class MovingMixin:
    """Where the models of a pipeline compute.

    Models that are called once for a generation and have no kernels there stay on the CPU. The weights of the others are there too, so that moving costs nothing.
    """

    def cpu(self) -> Self:
        """Moves the models to the CPU."""

    def cuda(self, device: Any = None) -> Self:
        """Moves the models to an NVIDIA card, by default the first one: see `to`."""

    @property
    def device(self) -> Any:
        """The device that the models compute on: the card of those that are on one, or else the CPU."""

    def enable_model_cpu_offload(self, gpu_id: Any = None, device: Any = None) -> Any:
        """Moves the models to an NVIDIA card, by default the first one, where only the model that computes takes memory. On a machine without a
        card, this does nothing. It holds for all pipelines of the process until `remove_all_hooks`.
        """

    def enable_sequential_cpu_offload(self, gpu_id: Any = None, device: Any = None) -> Any:
        """Moves the models to an NVIDIA card, by default the first one, where weights are only while they are used: that takes the least memory,
        and is slow. On a machine without a card, this does nothing. It holds for all pipelines of the process until `remove_all_hooks`.
        """

    def maybe_free_model_hooks(self) -> Any:
        """Does nothing: models leave the card by themselves after `enable_model_cpu_offload`."""

    def remove_all_hooks(self) -> Any:
        """Ends what `enable_model_cpu_offload` and `enable_sequential_cpu_offload` began, for all pipelines of the process: models stay in the
        memory of their card.
        """

    def reset_device_map(self) -> Any:
        """Moves the models to the CPU."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves the models to the CPU or to an NVIDIA card (`"cuda"`, `"cuda:1"`), and converts them to another element type. Models that are
        called once for a generation and have no kernels there, such as T2I-Adapters, stay on the CPU. Arrays stay there too. Returns the pipeline.

        Raises:
            RuntimeError: when there is no such card, or no driver for it.
            NotImplementedError: when one of the models computes on the CPU only; then none is moved.
        """

class MovingModelMixin:
    """Where a model computes, and in which type."""

    def cpu(self) -> Self:
        """Moves the model to the CPU."""

    def cuda(self, device: Any = None) -> Self:
        """Moves the model to an NVIDIA card, by default the first one: see `to`."""

    @property
    def device(self) -> Any:
        """The device that the model computes on: an NVIDIA card or the CPU."""

    def float(self) -> Self:
        """Converts the weights to float32."""

    def half(self) -> Self:
        """Converts the weights to float16."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves the model to the CPU or to an NVIDIA card (`"cuda"`, `"cuda:1"`), and converts the weights to another element type. A model
        without kernels there that is called once for a generation, such as a T2I-Adapter, stays on the CPU. Arrays stay there too. Returns the model.

        Raises:
            RuntimeError: when there is no such card, or no driver for it.
            NotImplementedError: when models of this class, or weights like these, compute on the CPU only.
        """

class MultiAdapter(_Adapters):
    """`MultiAdapter` of diffusers: several T2IAdapter objects as one part of a pipeline."""

class MultiControlNetModel(Several):
    """`MultiControlNetModel` of diffusers: several ControlNetModel objects as one part of a pipeline."""

class MultiControlNetUnionModel(Several):
    """`MultiControlNetUnionModel` of diffusers: several ControlNetUnionModel objects as one part of a pipeline."""

class MultistepIndex(StepIndex):
    """Solvers of several steps, which take a timestep that they do not know for the last."""

class NamedClasses:
    """Pipelines whose checkpoints name the classes that their images can be of."""

    def get_label_ids(self, label: Any) -> Any:
        """The numbers of the classes of these names, for `class_labels`.

        Raises:
            ValueError: when the checkpoint names no such class.
        """

    @property
    def labels(self) -> Any:
        """The numbers of the classes, by name."""

class NoiseLevels:
    """Consistency models, which are told the noise level instead of a timestep."""

    def sigma_to_t(self, sigmas: Any) -> Any:
        """What the model receives for noise levels: 250 ln σ, as an array of numpy."""

class PNDMPipeline(DiffusionPipeline):
    """`PNDMPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, batch_size: int = 1, *, num_inference_steps: int | None = None, generator: GeneratorLike | list[GeneratorLike] | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: PNDMPipeline.

        Args:
            batch_size (int): Number of images.
            num_inference_steps (int): Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models, and 1 for consistency models.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

class PNDMScheduler(RungeKutta, SchedulerMixin):
    """`PNDMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, skip_prk_steps: Any = False, set_alpha_to_one: Any = False, prediction_type: Any = 'epsilon', timestep_spacing: Any = 'leading', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class PartAttributes:
    """How a pipeline gives its parts and takes others, and keeps the library's pipeline up to date."""

    def __delattr__(self, name: Any) -> Any: ...

    def __getattr__(self, name: Any) -> Any: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

class PerToken:
    """Schedulers whose tokens can have timesteps of their own, as in videos with some given frames."""

class PipelineAttributes:
    """What pipelines tell about themselves."""

    @property
    def attention_kwargs(self) -> Any:
        """What the current or the last call was given as `attention_kwargs`."""

    @property
    def clip_skip(self) -> Any:
        """How many layers of the text encoder the current or the last call skips."""

    @property
    def control_image_processor(self) -> Any:
        """What turns the images for a ControlNet into tensors."""

    @property
    def cross_attention_kwargs(self) -> Any:
        """What the current or the last call was given as `cross_attention_kwargs`."""

    @property
    def current_timestep(self) -> Any:
        """The timestep of the step that the current call has done last; `None` between calls."""

    @property
    def default_image_size(self) -> Any:
        """The sides of the images of a call without `height` and `width`."""

    @property
    def default_sample_size(self) -> Any:
        """The sides of the latents of a call without `height` and `width`, before the transformer's patches."""

    @property
    def denoising_end(self) -> Any:
        """The fraction of the denoising after which the last call stopped."""

    @property
    def denoising_start(self) -> Any:
        """The fraction of the denoising that the last call left out at its begin."""

    @property
    def do_classifier_free_guidance(self) -> Any:
        """Whether the current or the last call computes a prediction without the text, too."""

    @property
    def do_pag_adaptive_scaling(self) -> Any:
        """Whether `pag_scale` declines during the last call."""

    @property
    def do_perturbed_attention_guidance(self) -> Any:
        """Whether the last call computes a prediction with perturbed attention, too."""

    @property
    def guidance_rescale(self) -> Any:
        """How far the last call corrects over-exposed images."""

    @property
    def guidance_scale(self) -> Any:
        """How strongly the current or the last call follows the text."""

    @property
    def image_guidance_scale(self) -> Any:
        """How strongly the last call keeps to the image."""

    @property
    def image_processor(self) -> Any:
        """What turns images into tensors for the autoencoder, and back."""

    @property
    def joint_attention_kwargs(self) -> Any:
        """What the current or the last call was given as `joint_attention_kwargs`."""

    @property
    def latent_channels(self) -> Any:
        """The number of channels of the latents."""

    @property
    def lora_scale(self) -> Any:
        """The factor of LoRAs that a call was given last; 1 without any."""

    @property
    def mask_processor(self) -> Any:
        """What turns masks into tensors: `pipeline.mask_processor.blur(mask, blur_factor=12)`."""

    @property
    def num_timesteps(self) -> Any:
        """The number of timesteps of the current or the last run."""

    @property
    def pag_adaptive_scale(self) -> Any:
        """How much `pag_scale` declines during the last call."""

    @property
    def pag_scale(self) -> Any:
        """How strongly the last call moves away from the prediction with perturbed attention."""

    @property
    def patch_size(self) -> Any:
        """The sides of the patches of latents that the transformer takes."""

    @property
    def skip_guidance_layers(self) -> Any:
        """The layers that a further prediction of the last call skips."""

    @property
    def tokenizer_max_length(self) -> Any:
        """The largest number of tokens of a prompt; of a CLIP's, where the pipeline has one."""

    @property
    def vae_scale_factor(self) -> Any:
        """How many pixels one position of the latents stands for, in each direction."""

class PipelineQuantizationConfig:
    """Which parts of a pipeline to round while they are loaded.

    Args:
        quant_mapping (dict): A `QuantizationConfig` for each of these parts; all have the same format.
        quant_backend, quant_kwargs, components_to_quantize: Refused: the libraries that diffusers rounds with are not supported.

    Raises:
        ValueError: when the arguments contradict each other.
        NotImplementedError: for other backends, and for parts with different formats.
    """

    def __init__(self, quant_backend: Any = None, quant_kwargs: Any = None, components_to_quantize: Any = None, quant_mapping: Any = None) -> None: ...

    def __repr__(self) -> str: ...

class PixArtAlphaPipeline(DiffusionPipeline):
    """`PixArtAlphaPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, num_inference_steps: int = 20, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 4.5, num_images_per_prompt: int = 1, height: int | None = None, width: int | None = None, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = True, use_resolution_binning: bool = True, max_sequence_length: int = 120, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: PixArtAlphaPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_inference_steps (int): Number of denoising steps.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels; by default that of the model's training images.
            width (int): Width of the images in pixels; by default that of the model's training images.
            eta (float): How much noise a DDIM scheduler adds in each step, from 0 to 1.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): Which tokens of `negative_prompt_embeds` count, likewise.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off, fewer filled up.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class PixArtSigmaPAGPipeline(DiffusionPipeline):
    """`PixArtSigmaPAGPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, num_inference_steps: int = 20, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 4.5, num_images_per_prompt: int = 1, height: int | None = None, width: int | None = None, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = True, use_resolution_binning: bool = True, max_sequence_length: int = 300, pag_scale: float = 3.0, pag_adaptive_scale: float = 0.0, pag_applied_layers: str | list[str] | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: PixArtSigmaPAGPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_inference_steps (int): Number of denoising steps.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels; by default that of the model's training images.
            width (int): Width of the images in pixels; by default that of the model's training images.
            eta (float): How much noise a DDIM scheduler adds in each step, from 0 to 1.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): Which tokens of `negative_prompt_embeds` count, likewise.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off, fewer filled up.
            pag_scale (float): How far to go away from the prediction with perturbed attention; 0 turns it off.
            pag_adaptive_scale (float): How much less to go for each timestep that the noise has become weaker; with 0, always as far.
            pag_applied_layers (str | list[str]): The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.14.attn1`.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class PixArtSigmaPipeline(DiffusionPipeline):
    """`PixArtSigmaPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, num_inference_steps: int = 20, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 4.5, num_images_per_prompt: int = 1, height: int | None = None, width: int | None = None, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = True, use_resolution_binning: bool = True, max_sequence_length: int = 300, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: PixArtSigmaPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_inference_steps (int): Number of denoising steps.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels; by default that of the model's training images.
            width (int): Width of the images in pixels; by default that of the model's training images.
            eta (float): How much noise a DDIM scheduler adds in each step, from 0 to 1.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): Which tokens of `negative_prompt_embeds` count, likewise.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off, fewer filled up.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class PixArtTransformer2DModel(ModelMixin):
    """`PixArtTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, resolution: ArrayLike | None = None, aspect_ratio: Any | None = None, attention_mask: ArrayLike | None = None, encoder_attention_mask: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the PixArtTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, features]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            resolution (ArrayLike): Height and width of the images in pixels, `[batch, 2]`.
            aspect_ratio (Any): Height divided by width, `[batch, 1]` or `[batch]`.
            attention_mask (ArrayLike): Which patches of the images count, `[batch, patches]`.
            encoder_attention_mask (ArrayLike): Which tokens of the prompts count, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, resolution: ArrayLike | None = None, aspect_ratio: Any | None = None, attention_mask: ArrayLike | None = None, encoder_attention_mask: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the PixArtTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The noisy latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, features]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            resolution (ArrayLike): Height and width of the images in pixels, `[batch, 2]`.
            aspect_ratio (Any): Height divided by width, `[batch, 1]` or `[batch]`.
            attention_mask (ArrayLike): Which patches of the images count, `[batch, patches]`.
            encoder_attention_mask (ArrayLike): Which tokens of the prompts count, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class Preconditioned:
    """Schedulers of EDM, which scale what goes into the model and what comes out (Karras et al. 2022,
    <https://arxiv.org/abs/2206.00364>, Table 1).
    """

    def precondition_inputs(self, sample: ArrayLike, sigma: Any) -> Any:
        """The sample at a noise level, scaled to the variance 1."""

    def precondition_noise(self, sigma: Any) -> Any:
        """What the model is told about a noise level: ln(σ) / 4."""

    def precondition_outputs(self, sample: ArrayLike, model_output: ArrayLike, sigma: Any) -> Any:
        """The noise-free sample that a prediction of the model means."""

class PredictorCorrector:
    """Score models, whose sample is first corrected and then moved to the next noise level."""

    def set_sigmas(self, num_inference_steps: int | None, sigma_min: Any = None, sigma_max: Any = None, sampling_eps: Any = None) -> Any:
        """Chooses the noise levels of a run between these bounds, which are by default those of the configuration."""

    def set_timesteps(self, num_inference_steps: int | None, sampling_eps: Any = None, device: Any = None) -> None:
        """Chooses the timesteps of a run, which ends at the time `sampling_eps`. Call `set_sigmas`, too."""

    def step_correct(self, model_output: ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """The corrector: a step of Langevin dynamics at the noise level of the sample."""

    def step_pred(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """The predictor: the sample at the next noise level, and its mean before noise is added."""

class PreviousTimestep:
    """Schedulers that find the next timestep of a run by the one before it."""

    def previous_timestep(self, timestep: int | float | ArrayLike) -> Any:
        """The timestep that a step from `timestep` leads to; -1 after the last."""

class QuantizationConfig:
    """Weights to round to small numbers while they are loaded: `format` is q8_0, q5_1, q5_0, q4_1, q4_0 or q4_k."""

    def __eq__(self, other: Any) -> Any: ...  # type: ignore[override]

    def __init__(self, format: Any, components_to_quantize: Any = None, modules_to_not_convert: Any = None) -> None: ...

    def __post_init__(self) -> Any: ...

    def __repr__(self) -> str: ...

class Qwen2_5_VLForConditionalGeneration(ModelMixin):
    """`Qwen2_5_VLForConditionalGeneration` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Qwen2_5_VLForConditionalGeneration.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Qwen2_5_VLForConditionalGeneration.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class Qwen3Model(ModelMixin):
    """`Qwen3Model` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Qwen3Model.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Qwen3Model.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class QwenImageControlNetInpaintPipeline(DiffusionPipeline):
    """`QwenImageControlNetInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, control_image: ImageInput | None = None, *, control_mask: ImageInput | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 1.0, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageControlNetInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; for several ControlNets, or for a list of one that follows several images, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            control_mask (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each. They are resized to `height` and `width`; a tensor is taken as it is, with values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageControlNetModel(ModelMixin):
    """`QwenImageControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, encoder_hidden_states_mask: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_shapes: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the QwenImageControlNetModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            controlnet_cond (ArrayLike): The tokens of the image to follow, `[batch, tokens, in_channels + extra_condition_channels]`.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            encoder_hidden_states_mask (ArrayLike): Which tokens of the prompts count, `[batch, tokens]`: those that are not 0. By default all count.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_shapes (Any): Frames, rows and columns of the tokens of each image of an item.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, encoder_hidden_states_mask: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_shapes: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the QwenImageControlNetModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            controlnet_cond (ArrayLike): The tokens of the image to follow, `[batch, tokens, in_channels + extra_condition_channels]`.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            encoder_hidden_states_mask (ArrayLike): Which tokens of the prompts count, `[batch, tokens]`: those that are not 0. By default all count.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_shapes (Any): Frames, rows and columns of the tokens of each image of an item.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class QwenImageControlNetPipeline(DiffusionPipeline):
    """`QwenImageControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, control_image: ImageInput | None = None, *, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; for several ControlNets, or for a list of one that follows several images, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageEditInpaintPipeline(DiffusionPipeline):
    """`QwenImageEditInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, masked_image_latents: ArrayLike | None = None, padding_mask_crop: int | None = None, strength: float = 0.6, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageEditInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect, as in Python: the transformer does not look at the image without its masked part.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageEditPipeline(DiffusionPipeline):
    """`QwenImageEditPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageEditPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to change: one for all prompts, or one for each.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageEditPlusPipeline(DiffusionPipeline):
    """`QwenImageEditPlusPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageEditPlusPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to look at, all of them together.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageImg2ImgPipeline(DiffusionPipeline):
    """`QwenImageImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, strength: float = 0.6, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageInpaintPipeline(DiffusionPipeline):
    """`QwenImageInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, masked_image_latents: ArrayLike | None = None, padding_mask_crop: int | None = None, strength: float = 0.6, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect, as in Python: the transformer does not look at the image without its masked part.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageLayeredPipeline(DiffusionPipeline):
    """`QwenImageLayeredPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, layers: int = 4, resolution: int = 640, cfg_normalize: bool = False, use_en_prompt: bool = False, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImageLayeredPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to take apart, opaque or not: one for all prompts, or one for each.
            layers (int): The number of layers of each image.
            resolution (int): The side of a square with about as many pixels as the layers: 640 or 1024.
            cfg_normalize (bool): Whether each token of the result stays as long as without guidance.
            use_en_prompt (bool): Whether the caption that the text encoder writes where there is no prompt is in English; otherwise it is in Chinese.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from: for each image the whole, then its layers, `[images * (layers + 1), channels, height / 8, width / 8]` or `[images, layers + 1, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned layers. Latents are not in patches: for each image the whole, then its layers, `[images * (layers + 1), channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageMultiControlNetModel(Several):
    """`QwenImageMultiControlNetModel` of diffusers: several QwenImageControlNetModel objects as one part of a pipeline."""

class QwenImagePipeline(DiffusionPipeline):
    """`QwenImagePipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, true_cfg_scale: float = 4.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: Any | None = None, prompt_embeds: ArrayLike | None = None, prompt_embeds_mask: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_embeds_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 512, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: QwenImagePipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
            true_cfg_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a negative prompt, each step takes two calls of the model.
            height (int): Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
            width (int): Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (Any): The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_embeds_mask (ArrayLike): Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_embeds_mask (ArrayLike): Which of their tokens count, `[1 or prompts, tokens]`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
            callback_on_step_end (StepCallback): Called after each step, with the latents, which are not in patches.
            max_sequence_length (int): The most tokens of a prompt, up to 1024: more are cut off.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class QwenImageTransformer2DModel(ModelMixin):
    """`QwenImageTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, encoder_hidden_states_mask: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_shapes: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, controlnet_block_samples: Any | None = None, additional_t_cond: int | Sequence[int] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the QwenImageTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            encoder_hidden_states_mask (ArrayLike): Which tokens of the prompts count, `[batch, tokens]`: 0 for those that fill up a prompt. By default all count.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_shapes (Any): Frames, rows and columns of the tokens of each image of an item.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt. No model of this class has a layer for it.
            controlnet_block_samples (Any): What ControlNets add to the tokens of the images after the blocks, each `[batch, tokens, dim]`.
            additional_t_cond (int | Sequence[int] | ArrayLike): What to make, for a model that is told so: 0 for an image, 1 for its layers.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, encoder_hidden_states_mask: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, img_shapes: Any | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, controlnet_block_samples: Any | None = None, additional_t_cond: int | Sequence[int] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the QwenImageTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The tokens of the images, `[batch, tokens, in_channels]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            encoder_hidden_states_mask (ArrayLike): Which tokens of the prompts count, `[batch, tokens]`: 0 for those that fill up a prompt. By default all count.
            timestep (float | Sequence[float] | ArrayLike): The time from 1 (noise) to 0: one for all items, or one for each.
            img_shapes (Any): Frames, rows and columns of the tokens of each image of an item.
            guidance (float | Sequence[float] | ArrayLike): How strongly to follow the prompt. No model of this class has a layer for it.
            controlnet_block_samples (Any): What ControlNets add to the tokens of the images after the blocks, each `[batch, tokens, dim]`.
            additional_t_cond (int | Sequence[int] | ArrayLike): What to make, for a model that is told so: 0 for an image, 1 for its layers.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class RePaintPipeline(DiffusionPipeline):
    """`RePaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, num_inference_steps: int = 250, eta: float = 0.0, jump_length: int = 10, jump_n_sample: int = 10, generator: GeneratorLike | list[GeneratorLike] | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: RePaintPipeline.

        Args:
            image (ImageInput): The images to repaint in part. Their size is rounded down to a multiple of 8; a tensor `[images, channels, height, width]` in [-1, 1] is used as it is.
            mask_image (ImageInput): The mask, white where to keep the image and black where to repaint it: one for all images. Its size is rounded down to a multiple of 32; a tensor `[1 or images, 1 or channels, height, width]` of 1 and 0 is used as it is.
            num_inference_steps (int): Number of denoising steps, not counting repeated ones.
            eta (float): Noise of each step, from 0 (none) to 1 (as much as DDPM).
            jump_length (int): Number of steps to go before they are undone.
            jump_n_sample (int): How many times these steps are gone through.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image, of which the first is used for all steps. By default a freshly seeded one.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step, also after undoing a step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class RePaintScheduler(BackAndForth, SchedulerMixin):
    """`RePaintScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', eta: Any = 0.0, trained_betas: Any = None, clip_sample: Any = True) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, jump_length: Any = 10, jump_n_sample: Any = 10, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            jump_length (int): How many steps the run goes back at a time.
            jump_n_sample (int): How often the run makes the steps between.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, original_image: Any = None, mask: Any = None, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class ReduxImageEncoder(ModelMixin):
    """`ReduxImageEncoder` of Python: see `ModelMixin` for its methods."""

    def __call__(self, x: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ReduxImageEncoder.

        Args:
            x (ArrayLike): The embedded images, `[batch, patches, redux_dim]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, x: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ReduxImageEncoder.

        Args:
            x (ArrayLike): The embedded images, `[batch, patches, redux_dim]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class RungeKutta:
    """Runs that begin with steps of one method and continue with those of another. `step` chooses between them."""

    @property
    def plms_timesteps(self) -> Any:
        """The timesteps of the linear multi-step steps, which follow."""

    @property
    def prk_timesteps(self) -> Any:
        """The timesteps of the Runge-Kutta steps; none with `skip_prk_steps`."""

    def step_plms(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """`step` with a linear multi-step step.

        Raises:
            ValueError: before three Runge-Kutta steps, unless `skip_prk_steps`.
        """

    def step_prk(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """`step` with one of the four model calls of a Runge-Kutta step."""

class SASolverScheduler(MultistepIndex, VariancePreserving, SchedulerMixin):
    """`SASolverScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, predictor_order: Any = 2, corrector_order: Any = 2, prediction_type: Any = 'epsilon', tau_func: Any = None, thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, algorithm_type: Any = 'data_prediction', lower_order_final: Any = True, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, use_flow_sigmas: Any = False, flow_shift: Any = 1.0, lambda_min_clipped: Any = ..., variance_type: Any = None, timestep_spacing: Any = 'linspace', steps_offset: Any = 0) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class SCMScheduler(StepIndex, SchedulerMixin):
    """`SCMScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, prediction_type: Any = 'trigflow', sigma_data: Any = 0.5) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, timesteps: Any = None, device: Any = None, max_timesteps: Any = 1.5708, intermediate_timesteps: Any = 1.3) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            max_timesteps (float): The first timestep.
            intermediate_timesteps (float): The second timestep of a run of two steps; must be None for other runs.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class SD3ControlNetModel(ModelMixin):
    """`SD3ControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SD3ControlNetModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            controlnet_cond (ArrayLike): The latents of the image to follow and possibly further channels, `[batch, channels, height, width]`.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`, for a model that reads them.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SD3ControlNetModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            controlnet_cond (ArrayLike): The latents of the image to follow and possibly further channels, `[batch, channels, height, width]`.
            conditioning_scale (float): A factor of the results.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`, for a model that reads them.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class SD3MultiControlNetModel(Several):
    """`SD3MultiControlNetModel` of diffusers: several SD3ControlNetModel objects as one part of a pipeline."""

class SD3Transformer2DModel(ModelMixin):
    """`SD3Transformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, block_controlnet_hidden_states: Any | None = None, skip_layers: int | Sequence[int] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SD3Transformer2DModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.
            block_controlnet_hidden_states (Any): What ControlNets add to the tokens of the image after the blocks, each `[batch, tokens, dim]`.
            skip_layers (int | Sequence[int] | ArrayLike): The numbers of blocks that are left out.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, pooled_projections: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, block_controlnet_hidden_states: Any | None = None, skip_layers: int | Sequence[int] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SD3Transformer2DModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded prompts, `[batch, tokens, joint_attention_dim]`.
            pooled_projections (ArrayLike): The pooled prompts, `[batch, pooled_projection_dim]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep from 1000 (noise) to 0: one for all items, or one for each.
            block_controlnet_hidden_states (Any): What ControlNets add to the tokens of the image after the blocks, each `[batch, tokens, dim]`.
            skip_layers (int | Sequence[int] | ArrayLike): The numbers of blocks that are left out.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class SanaControlNetModel(ModelMixin):
    """`SanaControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_attention_mask: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SanaControlNetModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded captions, `[batch, tokens, caption_channels]`.
            timestep (float | Sequence[float] | ArrayLike): The time: one for all items, or one for each.
            controlnet_cond (ArrayLike): The latents of the image to follow, of the shape of `hidden_states`.
            conditioning_scale (float): A factor of the results.
            encoder_attention_mask (ArrayLike): Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all count.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, controlnet_cond: ArrayLike | None = None, conditioning_scale: float = 1.0, encoder_attention_mask: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SanaControlNetModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded captions, `[batch, tokens, caption_channels]`.
            timestep (float | Sequence[float] | ArrayLike): The time: one for all items, or one for each.
            controlnet_cond (ArrayLike): The latents of the image to follow, of the shape of `hidden_states`.
            conditioning_scale (float): A factor of the results.
            encoder_attention_mask (ArrayLike): Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all count.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class SanaControlNetPipeline(DiffusionPipeline):
    """`SanaControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, controlnet_conditioning_scale: float = 1.0, guidance_scale: float = 4.5, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, eta: float = 0.0, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, num_inference_steps: int = 20, num_images_per_prompt: int = 1, height: int = 1024, width: int = 1024, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = False, use_resolution_binning: bool = True, max_sequence_length: int = 300, complex_human_instruction: str | list[str] = ..., callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: SanaControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each. They are resized to the size of the result; a tensor is taken as it is, with values in [-1, 1], and gives the result its size.
            controlnet_conditioning_scale (float): How strongly to follow them; 0 is not at all.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            eta (float): How much noise a DDIM scheduler adds in each step, from 0 to 1.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): Which tokens of `negative_prompt_embeds` count, likewise.
            num_inference_steps (int): Number of denoising steps.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels.
            width (int): Width of the images in pixels.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 32, width / 32]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off.
            complex_human_instruction (str | list[str]): The lines of the instruction that the text encoder reads before each prompt, though not before negative prompts. An empty list is none.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class SanaPAGPipeline(DiffusionPipeline):
    """`SanaPAGPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, pag_scale: float = 3.0, pag_adaptive_scale: float = 0.0, pag_applied_layers: str | list[str] | None = None, guidance_scale: float = 4.5, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, eta: float = 0.0, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, num_inference_steps: int = 20, num_images_per_prompt: int = 1, height: int = 1024, width: int = 1024, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = False, use_resolution_binning: bool = True, max_sequence_length: int = 300, complex_human_instruction: str | list[str] = ..., callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: SanaPAGPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            pag_scale (float): How far to go away from the prediction with perturbed attention; 0 turns it off.
            pag_adaptive_scale (float): By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
            pag_applied_layers (str | list[str]): The layers, instead of the pipeline's: regular expressions for their names, such as `transformer_blocks.8.attn1`.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            eta (float): How much noise a DDIM scheduler adds in each step, from 0 to 1.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): Which tokens of `negative_prompt_embeds` count, likewise.
            num_inference_steps (int): Number of denoising steps.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels.
            width (int): Width of the images in pixels.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 32, width / 32]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off.
            complex_human_instruction (str | list[str]): The lines of the instruction that the text encoder reads before each prompt, though not before negative prompts. An empty list is none.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class SanaPipeline(DiffusionPipeline):
    """`SanaPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, guidance_scale: float = 4.5, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, eta: float = 0.0, negative_prompt_embeds: ArrayLike | None = None, negative_prompt_attention_mask: ArrayLike | None = None, num_inference_steps: int = 20, num_images_per_prompt: int = 1, height: int = 1024, width: int = 1024, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = False, use_resolution_binning: bool = True, max_sequence_length: int = 300, complex_human_instruction: str | list[str] = ..., callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: SanaPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt. Above 1, each step predicts both.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            eta (float): How much noise a DDIM scheduler adds in each step, from 0 to 1.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
            negative_prompt_attention_mask (ArrayLike): Which tokens of `negative_prompt_embeds` count, likewise.
            num_inference_steps (int): Number of denoising steps.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels.
            width (int): Width of the images in pixels.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 32, width / 32]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off.
            complex_human_instruction (str | list[str]): The lines of the instruction that the text encoder reads before each prompt, though not before negative prompts. An empty list is none.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class SanaSprintImg2ImgPipeline(DiffusionPipeline):
    """`SanaSprintImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, strength: float = 0.6, timesteps: float | Sequence[float] | ArrayLike | None = None, max_timesteps: float | None = None, intermediate_timesteps: float | None = None, guidance_scale: float = 4.5, eta: float = 0.0, num_inference_steps: int = 2, num_images_per_prompt: int = 1, height: int = 1024, width: int = 1024, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = False, use_resolution_binning: bool = True, max_sequence_length: int = 300, complex_human_instruction: str | list[str] = ..., callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: SanaSprintImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to start from: one for all prompts, or one for each. They are resized to the size of the result. A tensor has values in [0, 1] or [-1, 1]; one with as many channels as latents have is taken as these.
            strength (float): How much of the image to change, from 0 to 1: the part of the steps that are made.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the run, from about π/2 (noise) to the 0 (data) where it ends: one more than steps.
            max_timesteps (float): The first timestep; by default 1.5708. It cannot be given with `timesteps`.
            intermediate_timesteps (float): The second timestep of a run of two steps; by default 1.3. Others have none.
            guidance_scale (float): The guidance that the model imitates.
            eta (float): Has no effect: it is for schedulers that these models are not for.
            num_inference_steps (int): Number of denoising steps.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels.
            width (int): Width of the images in pixels.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 32, width / 32]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off.
            complex_human_instruction (str | list[str]): The lines of the instruction that the text encoder reads before each prompt, though not before negative prompts. An empty list is none.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class SanaSprintPipeline(DiffusionPipeline):
    """`SanaSprintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, timesteps: float | Sequence[float] | ArrayLike | None = None, max_timesteps: float | None = None, intermediate_timesteps: float | None = None, guidance_scale: float = 4.5, eta: float = 0.0, num_inference_steps: int = 2, num_images_per_prompt: int = 1, height: int = 1024, width: int = 1024, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, prompt_attention_mask: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, clean_caption: bool = False, use_resolution_binning: bool = True, max_sequence_length: int = 300, complex_human_instruction: str | list[str] = ..., callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: SanaSprintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the run, from about π/2 (noise) to the 0 (data) where it ends: one more than steps.
            max_timesteps (float): The first timestep; by default 1.5708. It cannot be given with `timesteps`.
            intermediate_timesteps (float): The second timestep of a run of two steps; by default 1.3. Others have none.
            guidance_scale (float): The guidance that the model imitates.
            eta (float): Has no effect: it is for schedulers that these models are not for.
            num_inference_steps (int): Number of denoising steps.
            num_images_per_prompt (int): Number of images for each prompt.
            height (int): Height of the images in pixels.
            width (int): Width of the images in pixels.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 32, width / 32]`, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            prompt_attention_mask (ArrayLike): Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.
            clean_caption (bool): Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of files and the like.
            use_resolution_binning (bool): Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
            max_sequence_length (int): The tokens of a prompt: more are cut off.
            complex_human_instruction (str | list[str]): The lines of the instruction that the text encoder reads before each prompt, though not before negative prompts. An empty list is none.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class SanaTransformer2DModel(ModelMixin):
    """`SanaTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, encoder_attention_mask: ArrayLike | None = None, controlnet_block_samples: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SanaTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded captions, `[batch, tokens, caption_channels]`.
            timestep (float | Sequence[float] | ArrayLike): The time: one for all items, or one for each.
            guidance (float | Sequence[float] | ArrayLike): The guidance that a model with `guidance_embeds` imitates, likewise.
            encoder_attention_mask (ArrayLike): Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all count.
            controlnet_block_samples (Any): What a ControlNet adds to the tokens after the blocks, from the second on, each `[batch, tokens, dim]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, hidden_states: ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, guidance: float | Sequence[float] | ArrayLike | None = None, encoder_attention_mask: ArrayLike | None = None, controlnet_block_samples: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SanaTransformer2DModel.

        Args:
            hidden_states (ArrayLike): The latents, `[batch, in_channels, height, width]`.
            encoder_hidden_states (ArrayLike): The embedded captions, `[batch, tokens, caption_channels]`.
            timestep (float | Sequence[float] | ArrayLike): The time: one for all items, or one for each.
            guidance (float | Sequence[float] | ArrayLike): The guidance that a model with `guidance_embeds` imitates, likewise.
            encoder_attention_mask (ArrayLike): Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all count.
            controlnet_block_samples (Any): What a ControlNet adds to the tokens after the blocks, from the second on, each `[batch, tokens, dim]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class SchedulerMixin(JsonMixin):
    """Removes predicted noise from a sample, step by step.

    Samples and predictions are arrays `[batch, channels, ...]` of numpy, torch, mindspore or this package; results are of
    the same kind.
    """

    def __getattr__(self, name: Any) -> Any: ...

    def __len__(self) -> int: ...

    def __repr__(self) -> str: ...

    def __setattr__(self, name: Any, value: Any) -> None: ...

    def _repr_html_(self) -> str: ...

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> Any:
        """Adds noise to clean samples, to each up to the level of its timestep."""

    @property
    def alphas(self) -> Any:
        """`1 - betas`."""

    @property
    def alphas_cumprod(self) -> Any:
        """The part of the variance that is still the sample's at each timestep of the training."""

    @property
    def begin_index(self) -> Any:
        """The index of the timestep that the run starts with; `None` if it was not set."""

    @property
    def betas(self) -> Any:
        """The variance of the noise that each timestep of the training adds."""

    @property
    def compatibles(self) -> Any:
        """The classes that can take over this scheduler's configuration and work with the same model."""

    @property
    def config(self) -> FrozenDict:
        """The configuration: a mapping that cannot be changed, whose values are also attributes."""

    config_name: str

    @property
    def final_alpha_cumprod(self) -> Any:
        """What the last step takes for `alphas_cumprod`."""

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: Any = False, **kwargs: Any) -> Self:
        """A scheduler with the configuration of any scheduler; keyword arguments replace values of it."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, subfolder: str | None = None, return_unused_kwargs: Any = False, **kwargs: Any) -> Self:
        """A scheduler with the configuration in a folder or on the hub, which any class may have written.

        Raises:
            OSError: when the file is missing or damaged.
            ValueError: when a value of it is none that the class knows.
        """

    @property
    def has_compatibles(self) -> Any:
        """Whether other classes can take over this scheduler's configuration."""

    @property
    def init_noise_sigma(self) -> float:
        """The standard deviation of the initial noise."""

    @property
    def initial_alpha_cumprod(self) -> Any:
        """What the first step of an inversion takes for `alphas_cumprod`."""

    @classmethod
    def load_config(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> Any:
        """The configuration in a folder or on the hub."""

    @property
    def order(self) -> int:
        """How often the model is called for one step."""

    def register_to_config(self, **kwargs: Any) -> Any:
        """Changes values of the configuration, or adds some. Choose the timesteps again afterwards."""

    def save_config(self, save_directory: Any, push_to_hub: Any = False, **kwargs: Any) -> Any:
        """Writes `scheduler_config.json` into a folder, which is created if it does not exist."""

    def save_pretrained(self, save_directory: Any, push_to_hub: Any = False, **kwargs: Any) -> None:
        """Writes `scheduler_config.json` into a folder, which is created if it does not exist."""

    def scale_model_input(self, sample: ArrayLike, timestep: int | float | ArrayLike = None, *args: Any, **kwargs: Any) -> Any:
        """Scales a sample to what the model expects at a timestep."""

    def set_begin_index(self, begin_index: Any = 0) -> Any:
        """Sets the index of the timestep that the run starts with, if that is not the first."""

    @property
    def sigmas(self) -> Any:
        """The noise levels of the run."""

    @property
    def step_index(self) -> Any:
        """The index of the next step; `None` before the first, and for classes that find steps by their timesteps."""

    @property
    def timesteps(self) -> Any:
        """The timesteps of the run, from noisy to clean; before `set_timesteps`, usually all of the training."""

    def to_json_string(self) -> str:
        """The configuration as JSON, as it is saved."""

class ScoreSdeVePipeline(DiffusionPipeline):
    """`ScoreSdeVePipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, batch_size: int = 1, *, num_inference_steps: int | None = None, generator: GeneratorLike | list[GeneratorLike] | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ScoreSdeVePipeline.

        Args:
            batch_size (int): Number of images.
            num_inference_steps (int): Number of denoising steps; by default 1000 for DDPM, 50 for DDIM and PNDM, 2000 for score models, and 1 for consistency models.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

class ScoreSdeVeScheduler(PredictorCorrector, SchedulerMixin):
    """`ScoreSdeVeScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 2000, snr: Any = 0.15, sigma_min: Any = 0.01, sigma_max: Any = 1348.0, sampling_eps: Any = 1e-05, correct_steps: Any = 1) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class Several:
    """Several models of one class, in an order. A pipeline takes it in the place of one, and a list of the models as well."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call self as a function."""

    def __init__(self, models: Any) -> None: ...

    def __repr__(self) -> str: ...

    @property
    def dtype(self) -> Any:
        """The element type of the models."""

    @classmethod
    def from_pretrained(cls, pretrained_model_path: Any, **kwargs: Any) -> Self:
        """Loads the models from this folder, and from those with `_1`, `_2` and so on at the end of their names, as far as there are any."""

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Writes the models into this folder and into those with `_1`, `_2` and so on at the end of their names."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves all models to a device, and converts their weights to another element type: see `ModelMixin.to`."""

class Shift:
    """Schedulers of flows whose noise levels are shifted for larger images (Esser et al. 2024,
    <https://arxiv.org/abs/2403.03206>).
    """

    def set_shift(self, shift: Any) -> Any:
        """Sets the shift of the noise levels of later runs. The configuration keeps its own."""

    @property
    def shift(self) -> Any:
        """The shift of the noise levels of the next run, unless it is dynamic."""

class Siglip2VisionModel(ModelMixin):
    """`Siglip2VisionModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, pixel_values: ArrayLike | None = None, pixel_attention_mask: Any | None = None, spatial_shapes: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Siglip2VisionModel.

        Args:
            pixel_values (ArrayLike): The images in patches, `[batch, patches, channels * patch_size * patch_size]`.
            pixel_attention_mask (Any): 1 for each patch of an image and 0 for each empty one, `[batch, patches]`.
            spatial_shapes (Any): Height and width of each image in patches, `[batch, 2]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, pixel_values: ArrayLike | None = None, pixel_attention_mask: Any | None = None, spatial_shapes: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the Siglip2VisionModel.

        Args:
            pixel_values (ArrayLike): The images in patches, `[batch, patches, channels * patch_size * patch_size]`.
            pixel_attention_mask (Any): 1 for each patch of an image and 0 for each empty one, `[batch, patches]`.
            spatial_shapes (Any): Height and width of each image in patches, `[batch, 2]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class SiglipVisionModel(ModelMixin):
    """`SiglipVisionModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, pixel_values: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SiglipVisionModel.

        Args:
            pixel_values (ArrayLike): The prepared images, `[batch, channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, pixel_values: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the SiglipVisionModel.

        Args:
            pixel_values (ArrayLike): The prepared images, `[batch, channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class StableDiffusion3ControlNetInpaintingPipeline(DiffusionPipeline):
    """`StableDiffusion3ControlNetInpaintingPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, control_image: ImageInput | None = None, *, prompt_3: str | list[str] | None = None, control_mask: ImageInput | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3ControlNetInpaintingPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; with several ControlNets, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            control_mask (ImageInput): The masks, white where to repaint the images and black where to keep them: one for all images, or one for each.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which a ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which a ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            ip_adapter_image (ImageInput): The picture that the IP-Adapter looks at.
            ip_adapter_image_embeds (Any): The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding of no picture comes first. Each can also be repeated for each image.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusion3ControlNetPipeline(DiffusionPipeline):
    """`StableDiffusion3ControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, control_image: ImageInput | None = None, *, prompt_3: str | list[str] | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3ControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each; with several ControlNets, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which a ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which a ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            ip_adapter_image (ImageInput): The picture that the IP-Adapter looks at.
            ip_adapter_image_embeds (Any): The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding of no picture comes first. Each can also be repeated for each image.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusion3Img2ImgPipeline(DiffusionPipeline):
    """`StableDiffusion3Img2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, prompt_3: str | list[str] | None = None, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, mu: float | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3Img2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            mu (float): By how much to shift the noise levels, for schedulers that are configured to shift them by the size of the image.
            ip_adapter_image (ImageInput): The picture that the IP-Adapter looks at.
            ip_adapter_image_embeds (Any): The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding of no picture comes first. Each can also be repeated for each image.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusion3InpaintPipeline(DiffusionPipeline):
    """`StableDiffusion3InpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, prompt_3: str | list[str] | None = None, masked_image_latents: ArrayLike | None = None, padding_mask_crop: int | None = None, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, mu: float | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3InpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): The image without its masked part, for a transformer that looks at it: pixels from -1 to 1, or latents that are not scaled.
            padding_mask_crop (int): Repaint only the masked part and this many pixels around it, at the size of the whole image.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            mu (float): By how much to shift the noise levels, for schedulers that are configured to shift them by the size of the image.
            ip_adapter_image (ImageInput): The picture that the IP-Adapter looks at.
            ip_adapter_image_embeds (Any): The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding of no picture comes first. Each can also be repeated for each image.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusion3PAGImg2ImgPipeline(DiffusionPipeline):
    """`StableDiffusion3PAGImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, prompt_3: str | list[str] | None = None, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, pag_scale: float = 3.0, pag_adaptive_scale: float = 0.0, pag_applied_layers: str | list[str] | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3PAGImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            pag_scale (float): How far to go away from the prediction with perturbed attention; 0 turns it off.
            pag_adaptive_scale (float): By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
            pag_applied_layers (str | list[str]): The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.13.attn`.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusion3PAGPipeline(DiffusionPipeline):
    """`StableDiffusion3PAGPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, *, prompt_3: str | list[str] | None = None, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, pag_scale: float = 3.0, pag_adaptive_scale: float = 0.0, pag_applied_layers: str | list[str] | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3PAGPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            pag_scale (float): How far to go away from the prediction with perturbed attention; 0 turns it off.
            pag_adaptive_scale (float): By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
            pag_applied_layers (str | list[str]): The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.13.attn`.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusion3Pipeline(DiffusionPipeline):
    """`StableDiffusion3Pipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, *, prompt_3: str | list[str] | None = None, skip_guidance_layers: int | Sequence[int] | ArrayLike | None = None, skip_layer_guidance_scale: float = 2.8, skip_layer_guidance_stop: float = 0.2, skip_layer_guidance_start: float = 0.01, height: int | None = None, width: int | None = None, num_inference_steps: int = 28, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 7.0, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, negative_prompt_3: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', clip_skip: int | None = None, callback_on_step_end: StepCallback | None = None, max_sequence_length: int = 256, mu: float | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusion3Pipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder; by default those of the first.
            prompt_3 (str | list[str]): The prompts for the third text encoder; by default those of the first.
            skip_guidance_layers (int | Sequence[int] | ArrayLike): Layers of the transformer to leave out for a further prediction, from which guidance leads away.
            skip_layer_guidance_scale (float): How far that guidance goes.
            skip_layer_guidance_stop (float): The part of the steps before which that guidance ends.
            skip_layer_guidance_start (float): The part of the steps after which that guidance starts.
            height (int): Height of the images in pixels, a multiple of 16; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 16; by default that of the model's training images.
            num_inference_steps (int): Number of denoising steps.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of its own.
            guidance_scale (float): How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off guidance, and with it the negative prompt.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default those of the first.
            negative_prompt_3 (str | list[str]): The negative prompts for the third text encoder; by default those of the first.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            clip_skip (int): How many more of the last layers of the first two text encoders to leave out for the prompt.
            callback_on_step_end (StepCallback): Called after each step.
            max_sequence_length (int): The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
            mu (float): By how much to shift the noise levels, for schedulers that are configured to shift them by the size of the image.
            ip_adapter_image (ImageInput): The picture that the IP-Adapter looks at.
            ip_adapter_image_embeds (Any): The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding of no picture comes first. Each can also be repeated for each image.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionAdapterPipeline(DiffusionPipeline):
    """`StableDiffusionAdapterPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, latents: ArrayLike | None = None, adapter_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionAdapterPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to follow: one for all prompts, or one for each. With several adapters, an image for each. Tensors have values in [0, 1]; only pictures are resized.
            height (int): Height of the images in pixels, a multiple of 8 and of the adapter's `downscale_factor`; by default that of the image to follow, rounded down to one.
            width (int): Width of the images in pixels, a multiple of 8 and of the adapter's `downscale_factor`; by default that of the image to follow, rounded down to one.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            adapter_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each adapter.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionControlNetImg2ImgPipeline(DiffusionPipeline):
    """`StableDiffusionControlNetImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, height: int | None = None, width: int | None = None, strength: float = 0.8, latents: ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 0.8, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionControlNetImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with four channels is treated as latents.
            height (int): Height of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
            width (int): Width of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`, instead of the image's with noise.
            control_image (ImageInput): The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an image for each. Tensors have values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionControlNetInpaintPipeline(DiffusionPipeline):
    """`StableDiffusionControlNetInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, height: int | None = None, width: int | None = None, padding_mask_crop: int | None = None, strength: float = 1.0, latents: ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 0.5, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionControlNetInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            height (int): Height of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
            width (int): Width of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
            padding_mask_crop (int): Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts the result back into the image. Requires one image and one mask.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            control_image (ImageInput): The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an image for each. Tensors have values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionControlNetPipeline(DiffusionPipeline):
    """`StableDiffusionControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, latents: ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            height (int): Height of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
            width (int): Width of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            image (ImageInput): The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an image for each. Tensors have values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionDepth2ImgPipeline(DiffusionPipeline):
    """`StableDiffusionDepth2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, depth_map: ArrayLike | None = None, strength: float = 0.8, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionDepth2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to start from: one for all prompts, or one for each. The result has their size, rounded down to a multiple of 8.
            depth_map (ArrayLike): How near each part of the images is, `[images, height, width]`: larger values are nearer, in any unit. Estimated by default.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything but the depth of the image is left.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionImg2ImgPipeline(DiffusionPipeline):
    """`StableDiffusionImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, strength: float = 0.8, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to start from: one for all prompts, or one for each. The result has their size, rounded down to a multiple of 8. A tensor with four channels is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the whole run, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, instead of the scheduler's own.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionInpaintPipeline(DiffusionPipeline):
    """`StableDiffusionInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, masked_image_latents: ArrayLike | None = None, height: int | None = None, width: int | None = None, padding_mask_crop: int | None = None, strength: float = 1.0, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, latents: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. They are resized to `height` and `width`. A tensor with four channels is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): The latents of the images without the masked part, instead of encoding them: `[images, channels, height / 8, width / 8]`.
            height (int): Height of the images in pixels; by default that of the model's training images.
            width (int): Width of the images in pixels; by default that of the model's training images.
            padding_mask_crop (int): Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts the result back into the image. Requires one image and one mask.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the whole run, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, instead of the scheduler's own.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionInstructPix2PixPipeline(DiffusionPipeline):
    """`StableDiffusionInstructPix2PixPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, image_guidance_scale: float = 1.5, latents: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 100, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionInstructPix2PixPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to edit: one for all prompts, or one for each. The result has their size, rounded down to a multiple of 8. A tensor with four channels is treated as latents.
            image_guidance_scale (float): How closely the result follows the image; below 1 all guidance is off.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionLatentUpscalePipeline(DiffusionPipeline):
    """`StableDiffusionLatentUpscalePipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, num_inference_steps: int = 75, guidance_scale: float = 9.0, negative_prompt: str | list[str] | None = None, prompt_weighting: bool = False, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionLatentUpscalePipeline.

        Args:
            prompt (str | list[str]): What the images show, one text for each. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to enlarge, one for each prompt; their size is rounded down to a multiple of the VAE's scale factor. A tensor of four channels is taken for latents.
            num_inference_steps (int): Number of denoising steps.
            guidance_scale (float): How strongly the text pulls; 1 or less turns guidance off, and the negative prompt with it. 0 also ignores the prompt.
            negative_prompt (str | list[str]): What not to show: none, one for all prompts, or one for each.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The noise to start from, `[images, channels, 2 * height, 2 * width]` with the size of the image's latents, instead of drawing it.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`: the text encoder's last hidden states before its final norm.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): What the prompts say as a whole, `[prompts, features]`, with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): What the negative prompts say as a whole, `[prompts, features]`, with `negative_prompt_embeds`.
            output_type (Literal["pil", "np", "pt", "latent"]): What to return the images as.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionPipeline(DiffusionPipeline):
    """`StableDiffusionPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_rescale: float = 0.0, latents: ArrayLike | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 7.5, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            height (int): Height of the images in pixels, a multiple of 8; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 8; by default that of the model's training images.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            latents (ArrayLike): The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionUpscalePipeline(DiffusionPipeline):
    """`StableDiffusionUpscalePipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, noise_level: int = 20, latents: ArrayLike | None = None, num_inference_steps: int = 75, guidance_scale: float = 9.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, clip_skip: int | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionUpscalePipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            image (ImageInput): The images to enlarge, one for each prompt; their size is rounded down to a multiple of the VAE's scale factor.
            noise_level (int): How much noise to add to the images before the model sees them, as a training timestep.
            latents (ArrayLike): The noise to start from, `[images, channels, height, width]` with the size of the small image, instead of drawing it.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            clip_skip (int): How many of the text encoder's last layers to leave out.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLAdapterPipeline(DiffusionPipeline):
    """`StableDiffusionXLAdapterPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, adapter_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, adapter_conditioning_factor: float = 1.0, clip_skip: int | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLAdapterPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to follow: one for all prompts, or one for each. With several adapters, an image for each. Tensors have values in [0, 1]; only pictures are resized.
            height (int): Height of the images in pixels, a multiple of 8 and of the adapter's `downscale_factor`; by default that of the image to follow, rounded down to one.
            width (int): Width of the images in pixels, a multiple of 8 and of the adapter's `downscale_factor`; by default that of the image to follow, rounded down to one.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt; both negative sizes must be given.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt; both negative sizes must be given.
            adapter_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each adapter.
            adapter_conditioning_factor (float): The part of the steps in which to follow the images, from the first step on: 0 is none of them, 1 all. As in Python, each call of the UNet counts as a step here, also with schedulers that call it twice in one.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLControlNetImg2ImgPipeline(DiffusionPipeline):
    """`StableDiffusionXLControlNetImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, strength: float = 0.8, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, aesthetic_score: float = 6.0, negative_aesthetic_score: float = 2.5, clip_skip: int | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 0.8, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 5.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLControlNetImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with four channels is treated as latents.
            height (int): Height of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
            width (int): Width of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt; used by refiners only.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt.
            aesthetic_score (float): The aesthetic score to aim for, for refiners.
            negative_aesthetic_score (float): The aesthetic score of the negative prompt, for refiners.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            control_image (ImageInput): The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an image for each. Tensors have values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLControlNetInpaintPipeline(DiffusionPipeline):
    """`StableDiffusionXLControlNetInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, padding_mask_crop: int | None = None, strength: float = 0.9999, denoising_start: float | None = None, aesthetic_score: float = 6.0, negative_aesthetic_score: float = 2.5, clip_skip: int | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLControlNetInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            height (int): Height of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
            width (int): Width of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
            padding_mask_crop (int): Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts the result back into the image. Requires one image and one mask.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            denoising_start (float): How far another model has denoised the image, as a fraction of all steps between 0 and 1. No noise is added then, and `strength` is not used.
            aesthetic_score (float): The aesthetic score to aim for, for refiners.
            negative_aesthetic_score (float): The aesthetic score of the negative prompt, for refiners.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            control_image (ImageInput): The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an image for each. Tensors have values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLControlNetPipeline(DiffusionPipeline):
    """`StableDiffusionXLControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, clip_skip: int | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            height (int): Height of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
            width (int): Width of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt; both negative sizes must be given.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt; both negative sizes must be given.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            image (ImageInput): The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an image for each. Tensors have values in [0, 1].
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each ControlNet.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLControlNetUnionImg2ImgPipeline(DiffusionPipeline):
    """`StableDiffusionXLControlNetUnionImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, strength: float = 0.8, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, aesthetic_score: float = 6.0, negative_aesthetic_score: float = 2.5, clip_skip: int | None = None, control_mode: int | Sequence[int] | ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 0.8, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, guidance_scale: float = 5.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLControlNetUnionImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with four channels is treated as latents.
            height (int): Height of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
            width (int): Width of the images in pixels, rounded down to a multiple of 8; by default that of `image`.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt; used by refiners only.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt.
            aesthetic_score (float): The aesthetic score to aim for, for refiners.
            negative_aesthetic_score (float): The aesthetic score of the negative prompt, for refiners.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            control_image (ImageInput): The images that the ControlNet follows, one for each type in `control_mode`: each for all prompts, or a list with one for each prompt. With several ControlNets, an image for each of them. Tensors have values in [0, 1].
            control_mode (int | Sequence[int] | ArrayLike): The types of the images, by their numbers in the model. With several ControlNets, one for each of them, or a list for each; then `control_image` is a list of lists, too.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image; with several ControlNets, one for each of them.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image; with several ControlNets, one for each of them.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLControlNetUnionInpaintPipeline(DiffusionPipeline):
    """`StableDiffusionXLControlNetUnionInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, padding_mask_crop: int | None = None, strength: float = 0.9999, denoising_start: float | None = None, aesthetic_score: float = 6.0, negative_aesthetic_score: float = 2.5, clip_skip: int | None = None, control_mode: int | Sequence[int] | ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLControlNetUnionInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            height (int): Height of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
            width (int): Width of the images in pixels, a multiple of 8; by default that of `image`, rounded down to one.
            padding_mask_crop (int): Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts the result back into the image. Requires one image and one mask.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            denoising_start (float): How far another model has denoised the image, as a fraction of all steps between 0 and 1. No noise is added then, and `strength` is not used.
            aesthetic_score (float): The aesthetic score to aim for, for refiners.
            negative_aesthetic_score (float): The aesthetic score of the negative prompt, for refiners.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            control_image (ImageInput): The images that the ControlNet follows, one for each type in `control_mode`: each for all prompts, or a list with one for each prompt. With several ControlNets, an image for each of them. Tensors have values in [0, 1].
            control_mode (int | Sequence[int] | ArrayLike): The types of the images, by their numbers in the model. With several ControlNets, one for each of them, or a list for each; then `control_image` is a list of lists, too.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image; with several ControlNets, one for each of them.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image; with several ControlNets, one for each of them.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLControlNetUnionPipeline(DiffusionPipeline):
    """`StableDiffusionXLControlNetUnionPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, control_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, clip_skip: int | None = None, control_mode: int | Sequence[int] | ArrayLike | None = None, controlnet_conditioning_scale: float | Sequence[float] | ArrayLike = 1.0, guess_mode: bool = False, control_guidance_start: float | Sequence[float] | ArrayLike = 0.0, control_guidance_end: float | Sequence[float] | ArrayLike = 1.0, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLControlNetUnionPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            height (int): Height of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
            width (int): Width of the images in pixels, rounded down to a multiple of 8; by default that of the image to follow.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt; both negative sizes must be given.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt; both negative sizes must be given.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            control_image (ImageInput): The images that the ControlNet follows, one for each type in `control_mode`: each for all prompts, or a list with one for each prompt. With several ControlNets, an image for each of them. Tensors have values in [0, 1].
            control_mode (int | Sequence[int] | ArrayLike): The types of the images, by their numbers in the model. With several ControlNets, one for each of them, or a list for each; then `control_image` is a list of lists, too.
            controlnet_conditioning_scale (float | Sequence[float] | ArrayLike): How strongly to follow the images: one number, or one for each image; with several ControlNets, one for each of them.
            guess_mode (bool): Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
            control_guidance_start (float | Sequence[float] | ArrayLike): The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image; with several ControlNets, one for each of them.
            control_guidance_end (float | Sequence[float] | ArrayLike): The part of the steps after which an image ceases to count, likewise.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLImg2ImgPipeline(DiffusionPipeline):
    """`StableDiffusionXLImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, strength: float = 0.3, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, denoising_start: float | None = None, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, aesthetic_score: float = 6.0, negative_aesthetic_score: float = 2.5, clip_skip: int | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to start from: one for all prompts, or one for each. The result has their size, rounded down to a multiple of 8. A tensor with four channels is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the whole run, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, instead of the scheduler's own.
            denoising_start (float): How far another model has denoised the image, as a fraction of all steps between 0 and 1. No noise is added then, and `strength` is not used.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt; used by refiners only.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt.
            aesthetic_score (float): The aesthetic score to aim for, for refiners.
            negative_aesthetic_score (float): The aesthetic score of the negative prompt, for refiners.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLInpaintPipeline(DiffusionPipeline):
    """`StableDiffusionXLInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, masked_image_latents: ArrayLike | None = None, height: int | None = None, width: int | None = None, padding_mask_crop: int | None = None, strength: float = 0.9999, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, denoising_start: float | None = None, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, aesthetic_score: float = 6.0, negative_aesthetic_score: float = 2.5, clip_skip: int | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 7.5, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. They are resized to `height` and `width`. A tensor with four channels is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): The latents of the images without the masked part, instead of encoding them: `[images, channels, height / 8, width / 8]`.
            height (int): Height of the images in pixels; by default that of the model's training images.
            width (int): Width of the images in pixels; by default that of the model's training images.
            padding_mask_crop (int): Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts the result back into the image. Requires one image and one mask.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left. The default drops one step.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the whole run, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, instead of the scheduler's own.
            denoising_start (float): How far another model has denoised the image, as a fraction of all steps between 0 and 1. No noise is added then, and `strength` is not used.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt; used by refiners only.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt.
            aesthetic_score (float): The aesthetic score to aim for, for refiners.
            negative_aesthetic_score (float): The aesthetic score of the negative prompt, for refiners.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLInstructPix2PixPipeline(DiffusionPipeline):
    """`StableDiffusionXLInstructPix2PixPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, image: ImageInput | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, image_guidance_scale: float = 1.5, num_inference_steps: int = 100, denoising_end: float | None = None, guidance_scale: float = 5.0, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLInstructPix2PixPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            image (ImageInput): The images to edit: one for all prompts, or one for each. They are resized to `height` and `width`. A tensor with four channels is treated as latents.
            height (int): Height of the images in pixels; by default that of the model's training images.
            width (int): Width of the images in pixels; by default that of the model's training images.
            image_guidance_scale (float): How closely the result follows the image; below 1 all guidance is off.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StableDiffusionXLPipeline(DiffusionPipeline):
    """`StableDiffusionXLPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, prompt_2: str | list[str] | None = None, *, negative_prompt: str | list[str] | None = None, negative_prompt_2: str | list[str] | None = None, height: int | None = None, width: int | None = None, timesteps: float | Sequence[float] | ArrayLike | None = None, sigmas: float | Sequence[float] | ArrayLike | None = None, negative_original_size: int | Sequence[int] | ArrayLike | None = None, negative_crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., negative_target_size: int | Sequence[int] | ArrayLike | None = None, clip_skip: int | None = None, ip_adapter_image: ImageInput | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, num_inference_steps: int = 50, denoising_end: float | None = None, guidance_scale: float = 5.0, guidance_rescale: float = 0.0, prompt_weighting: bool = False, num_images_per_prompt: int = 1, eta: float = 0.0, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: ArrayLike | None = None, negative_prompt_embeds: ArrayLike | None = None, pooled_prompt_embeds: ArrayLike | None = None, negative_pooled_prompt_embeds: ArrayLike | None = None, original_size: int | Sequence[int] | ArrayLike | None = None, crops_coords_top_left: int | Sequence[int] | ArrayLike = ..., target_size: int | Sequence[int] | ArrayLike | None = None, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: StableDiffusionXLPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            prompt_2 (str | list[str]): The prompts for the second text encoder: one for each prompt; by default the same prompts.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            negative_prompt_2 (str | list[str]): The negative prompts for the second text encoder; by default the same negative prompts.
            height (int): Height of the images in pixels, a multiple of 8; by default that of the model's training images.
            width (int): Width of the images in pixels, a multiple of 8; by default that of the model's training images.
            timesteps (float | Sequence[float] | ArrayLike): The timesteps of the denoising loop, instead of the scheduler's own.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the denoising loop, instead of the scheduler's own.
            negative_original_size (int | Sequence[int] | ArrayLike): As `original_size`, for the negative prompt; both negative sizes must be given.
            negative_crops_coords_top_left (int | Sequence[int] | ArrayLike): As `crops_coords_top_left`, for the negative prompt.
            negative_target_size (int | Sequence[int] | ArrayLike): As `target_size`, for the negative prompt; both negative sizes must be given.
            clip_skip (int): How many of the text encoders' last layers to leave out.
            ip_adapter_image (ImageInput): The pictures that the IP-Adapters look at: one for each adapter, or several.
            ip_adapter_image_embeds (Any): Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[copies, pictures, features]` or `[copies, pictures, tokens, features]`. Without guidance there is one copy; with guidance there are two, the embedding of no picture and that of the pictures; editing by instructions has three, that of the pictures and twice that of none. Each copy can also be repeated for each image.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            num_inference_steps (int): Number of denoising steps. The default is Python's; the checkpoint's `GenerationConfig` does not change it.
            denoising_end (float): Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from there.
            guidance_scale (float): How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The default is Python's.
            guidance_rescale (float): How far to restore the contrast that guidance changes, from 0 to 1.
            prompt_weighting (bool): Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
            num_images_per_prompt (int): Number of images for each prompt.
            eta (float): Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (ArrayLike): Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (ArrayLike): Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pooled_prompt_embeds (ArrayLike): The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
            negative_pooled_prompt_embeds (ArrayLike): The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
            original_size (int | Sequence[int] | ArrayLike): The original size of the image as the model is conditioned on it, height and width; by default that of the result. Small sizes give blurred images.
            crops_coords_top_left (int | Sequence[int] | ArrayLike): The crop of the image as the model is conditioned on it: how much was cut off at the top and at the left.
            target_size (int | Sequence[int] | ArrayLike): The size of the result as the model is conditioned on it, height and width; by default the actual size.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class StepIndex:
    """Schedulers that count their steps, and find the first by its timestep."""

    def index_for_timestep(self, timestep: int | float | ArrayLike, schedule_timesteps: Any = None) -> Any:
        """The index of a timestep in the run, or in `schedule_timesteps`. Of two that are equal, it is the second, so that
        image to image does not leave out a noise level.

        Raises:
            IndexError: when there is no such timestep.
        """

class T2IAdapter(T2IAdapterMixin, ModelMixin):
    """`T2IAdapter` of Python: see `ModelMixin` for its methods."""

    def __call__(self, x: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the T2IAdapter.

        Args:
            x (ArrayLike): The image to follow, values in [0, 1], `[batch, in_channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, x: ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the T2IAdapter.

        Args:
            x (ArrayLike): The image to follow, values in [0, 1], `[batch, in_channels, height, width]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class T2IAdapterMixin:
    """What a T2I-Adapter does besides."""

    @property
    def total_downscale_factor(self) -> Any:
        """How many pixels one position of the smallest feature stands for, in each direction."""

class T5EncoderModel(ModelMixin):
    """`T5EncoderModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the T5EncoderModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the T5EncoderModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class TCDScheduler(PreviousTimestep, StepIndex, Velocity, SchedulerMixin):
    """`TCDScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.00085, beta_end: Any = 0.012, beta_schedule: Any = 'scaled_linear', trained_betas: Any = None, original_inference_steps: Any = 50, clip_sample: Any = False, clip_sample_range: Any = 1.0, set_alpha_to_one: Any = True, steps_offset: Any = 0, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, timestep_spacing: Any = 'leading', timestep_scaling: Any = 10.0, rescale_betas_zero_snr: Any = False) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, original_inference_steps: Any = None, timesteps: Any = None, strength: Any = 1.0) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            original_inference_steps (int): The number of steps that the model was distilled with.
            timesteps (Sequence[float]): The timesteps of the run instead, in descending order.
            strength (float): The part of the timesteps that is used when the run starts from an image.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, eta: Any = 0.3, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class Tensor:
    """An array of numbers in memory: what models and schedulers return to programs that pass no arrays of numpy or torch.

    It has the attributes and operations of arrays, and numpy and torch can use its memory: `tensor.numpy()`,
    `numpy.asarray(tensor)`, `torch.from_dlpack(tensor)`.
    """

    def __init__(self, data: Any, dtype: Any = None) -> None: ...

    def __abs__(self) -> Tensor: ...

    def __add__(self, value: Any) -> Tensor: ...

    def __bool__(self) -> bool: ...

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...

    def __eq__(self, value: Any) -> Tensor: ...  # type: ignore[override]

    def __float__(self) -> float: ...

    def __floordiv__(self, value: Any) -> Tensor: ...

    def __format__(self, format: Any) -> Tensor: ...

    def __ge__(self, value: Any) -> Tensor: ...

    def __getitem__(self, key: Any) -> Tensor: ...

    def __gt__(self, value: Any) -> Tensor: ...

    def __index__(self) -> int: ...

    def __int__(self) -> int: ...

    def __iter__(self) -> Any: ...

    def __le__(self, value: Any) -> Tensor: ...

    def __len__(self) -> int: ...

    def __lt__(self, value: Any) -> Tensor: ...

    def __matmul__(self, value: Any) -> Tensor: ...

    def __mod__(self, value: Any) -> Tensor: ...

    def __mul__(self, value: Any) -> Tensor: ...

    def __ne__(self, value: Any) -> Tensor: ...  # type: ignore[override]

    def __neg__(self) -> Tensor: ...

    def __pow__(self, value: Any, mod: Any = None) -> Tensor: ...

    def __radd__(self, value: Any) -> Tensor: ...

    def __repr__(self) -> str: ...

    def __rfloordiv__(self, value: Any) -> Tensor: ...

    def __rmatmul__(self, value: Any) -> Tensor: ...

    def __rmod__(self, value: Any) -> Tensor: ...

    def __rmul__(self, value: Any) -> Tensor: ...

    def __round__(self, ndigits: Any = None) -> Tensor: ...

    def __rpow__(self, value: Any, mod: Any = None) -> Tensor: ...

    def __rsub__(self, value: Any) -> Tensor: ...

    def __rtruediv__(self, value: Any) -> Tensor: ...

    def __sub__(self, value: Any) -> Tensor: ...

    def __truediv__(self, value: Any) -> Tensor: ...

    def abs(self) -> Tensor:
        """The absolute values."""

    def all(self) -> bool:
        """Whether all values are true."""

    def amax(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        """The largest value of all dimensions, or of those given."""

    def amin(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        """The smallest value of all dimensions, or of those given."""

    def any(self) -> bool:
        """Whether any value is true."""

    def argmax(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        """The place of the largest value along a dimension, or in the flattened tensor."""

    def argmin(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        """The place of the smallest value along a dimension, or in the flattened tensor."""

    def asnumpy(self) -> Any:
        """The values as an array of numpy: mindspore's name of `numpy`."""

    def astype(self, dtype: Any) -> Tensor:
        """The tensor with another element type: numpy's name of `to`."""

    def chunk(self, chunks: Any, dim: Any = 0) -> list[Tensor]:
        """The tensor in `chunks` parts along a dimension."""

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """Each value, but at least `min` and at most `max`."""

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """numpy's name of `clamp`."""

    def clone(self) -> Tensor:
        """A copy in memory of its own."""

    def contiguous(self) -> Tensor:
        """The tensor itself, whose values are in order."""

    def cos(self) -> Tensor:
        """The cosine of each value."""

    def cpu(self) -> Tensor:
        """The tensor itself, which is on the CPU."""

    def detach(self) -> Tensor:
        """The tensor itself, which has no gradients."""

    @property
    def device(self) -> Any:
        """The device of the memory: always the CPU."""

    def dim(self) -> int:
        """The number of dimensions."""

    @property
    def dtype(self) -> Any:
        """The element type."""

    def exp(self) -> Tensor:
        """The exponential of each value."""

    def expand(self, *shape: Any) -> Tensor:
        """The tensor repeated along its dimensions of length 1; -1 keeps a length."""

    def flatten(self, start_dim: Any = 0, end_dim: Any = ...) -> Tensor:
        """The tensor with the dimensions from `start_dim` to `end_dim` as one."""

    def flip(self, *dims: Any) -> Tensor:
        """The tensor with the values of some dimensions in reverse order."""

    def float(self) -> Tensor:
        """The tensor as `float32`."""

    def floor(self) -> Tensor:
        """Each value rounded down."""

    def half(self) -> Tensor:
        """The tensor as `float16`."""

    def int(self) -> Tensor:
        """The tensor as `int32`."""

    def is_floating_point(self) -> bool:
        """Whether the elements are floating point numbers."""

    def item(self) -> Any:
        """The only value, as a number."""

    def log(self) -> Tensor:
        """The natural logarithm of each value."""

    def long(self) -> Tensor:
        """The tensor as `int64`."""

    def max(self) -> Tensor:
        """The largest value."""

    def mean(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        """The mean over all dimensions, or over those given."""

    def min(self) -> Tensor:
        """The smallest value."""

    @property
    def ndim(self) -> int:
        """The number of dimensions."""

    def numel(self) -> int:
        """The number of values."""

    def numpy(self) -> Any:
        """The values as an array of numpy, in the same memory; `bfloat16`, which numpy does not have, becomes `float32`."""

    def permute(self, *dims: Any) -> Tensor:
        """The tensor with its dimensions in another order."""

    def reshape(self, *shape: Any) -> Tensor:
        """The tensor in another shape; one length may be -1, which follows from the others."""

    def round(self) -> Tensor:
        """Each value rounded to a whole number, ties to even."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""

    def sin(self) -> Tensor:
        """The sine of each value."""

    def size(self, dim: Any = None) -> Any:
        """The shape, or the length of one dimension."""

    def sqrt(self) -> Tensor:
        """The square root of each value."""

    def squeeze(self, dim: Any = None) -> Tensor:
        """The tensor without dimensions of length 1, or without one of them."""

    def std(self, dim: Any = None, *, correction: Any = 1.0, keepdim: Any = False) -> Tensor:
        """The standard deviation over all dimensions, or over those given, with Bessel's correction unless `correction` is 0."""

    def sum(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        """The sum over all dimensions, or over those given."""

    def tanh(self) -> Tensor:
        """The hyperbolic tangent of each value."""

    def to(self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: Any = False, copy: Any = False) -> Tensor:
        """The tensor with another element type. A device must be the CPU or an NVIDIA card. Nothing is transferred, as tensors stay on the
        CPU, where models on a card take them from; so `non_blocking` has no effect.
        """

    def tolist(self) -> Any:
        """The values as numbers in nested lists."""

    def transpose(self, dim0: Any, dim1: Any) -> Tensor:
        """The tensor with two dimensions exchanged."""

    def unsqueeze(self, dim: Any) -> Tensor:
        """The tensor with a further dimension of length 1."""

    def var(self, dim: Any = None, *, correction: Any = 1.0, keepdim: Any = False) -> Tensor:
        """The variance over all dimensions, or over those given, with Bessel's correction unless `correction` is 0."""

    def view(self, *shape: Any) -> Tensor:
        """The same as `reshape`."""

class TimeShift:
    """Schedulers that can shift the noise levels of a flow by the size of the image."""

    def stretch_shift_to_terminal(self, t: Any) -> Any:
        """The noise levels `t` stretched to end with `shift_terminal`."""

    def time_shift(self, mu: Any, sigma: Any, t: Any) -> Any:
        """The noise levels `t` shifted by `mu`, exponentially or linearly as `time_shift_type` says."""

class TrainedLevels:
    """Schedulers of flows, whose noise levels lie between those of the training."""

    @property
    def sigma_max(self) -> Any:
        """The highest noise level of the training."""

    @property
    def sigma_min(self) -> Any:
        """The lowest noise level of the training."""

class UMT5EncoderModel(ModelMixin):
    """`UMT5EncoderModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the UMT5EncoderModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, input_ids: Any | None = None, attention_mask: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the UMT5EncoderModel.

        Args:
            input_ids (Any): The tokens, `[batch, tokens]`.
            attention_mask (Any): 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class UNet2DConditionModel(ModelMixin):
    """`UNet2DConditionModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, class_labels: float | Sequence[float] | ArrayLike | None = None, timestep_cond: ArrayLike | None = None, text_embeds: ArrayLike | None = None, time_ids: ArrayLike | None = None, image_embeds: ArrayLike | None = None, hint: ArrayLike | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, down_block_additional_residuals: Any | None = None, mid_block_additional_residual: ArrayLike | None = None, down_intrablock_additional_residuals: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the UNet2DConditionModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded text, `[batch, tokens, features]`.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.
            timestep_cond (ArrayLike): An embedding of the guidance scale, `[batch, features]`, for distilled models.
            text_embeds (ArrayLike): What the text says as a whole, `[batch, features]`.
            time_ids (ArrayLike): Numbers such as the size of the image, `[batch, numbers]`.
            image_embeds (ArrayLike): What an image says as a whole, `[batch, features]`.
            hint (ArrayLike): An image that hints at the result, `[batch, 3, 8 * height, 8 * width]`.
            ip_adapter_image_embeds (Any): The embedded pictures of each IP-Adapter, `[batch, pictures, features]` or `[batch, pictures, tokens, features]`.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            down_block_additional_residuals (Any): What ControlNets add to the skips of the down blocks, a tensor for each.
            mid_block_additional_residual (ArrayLike): What ControlNets add to the result of the middle block.
            down_intrablock_additional_residuals (Any): What T2I-Adapters add inside the down blocks, a tensor for each, and then to the result of the middle block.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, encoder_hidden_states: ArrayLike | None = None, class_labels: float | Sequence[float] | ArrayLike | None = None, timestep_cond: ArrayLike | None = None, text_embeds: ArrayLike | None = None, time_ids: ArrayLike | None = None, image_embeds: ArrayLike | None = None, hint: ArrayLike | None = None, ip_adapter_image_embeds: Any | None = None, ip_adapter_masks: Any | None = None, down_block_additional_residuals: Any | None = None, mid_block_additional_residual: ArrayLike | None = None, down_intrablock_additional_residuals: Any | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the UNet2DConditionModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            encoder_hidden_states (ArrayLike): The embedded text, `[batch, tokens, features]`.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.
            timestep_cond (ArrayLike): An embedding of the guidance scale, `[batch, features]`, for distilled models.
            text_embeds (ArrayLike): What the text says as a whole, `[batch, features]`.
            time_ids (ArrayLike): Numbers such as the size of the image, `[batch, numbers]`.
            image_embeds (ArrayLike): What an image says as a whole, `[batch, features]`.
            hint (ArrayLike): An image that hints at the result, `[batch, 3, 8 * height, 8 * width]`.
            ip_adapter_image_embeds (Any): The embedded pictures of each IP-Adapter, `[batch, pictures, features]` or `[batch, pictures, tokens, features]`.
            ip_adapter_masks (Any): Where the pictures of each IP-Adapter count; by default everywhere.
            down_block_additional_residuals (Any): What ControlNets add to the skips of the down blocks, a tensor for each.
            mid_block_additional_residual (ArrayLike): What ControlNets add to the result of the middle block.
            down_intrablock_additional_residuals (Any): What T2I-Adapters add inside the down blocks, a tensor for each, and then to the result of the middle block.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class UNet2DModel(ModelMixin):
    """`UNet2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, class_labels: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the UNet2DModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, sample: ArrayLike | None = None, timestep: float | Sequence[float] | ArrayLike | None = None, class_labels: float | Sequence[float] | ArrayLike | None = None, return_dict: bool = True, **others: Any) -> Any:
        """Calls the UNet2DModel.

        Args:
            sample (ArrayLike): The noisy sample, `[batch, in_channels, height, width]`.
            timestep (float | Sequence[float] | ArrayLike): The timestep: one for all items, or one for each.
            class_labels (float | Sequence[float] | ArrayLike): The class of each item, for models that were trained with classes.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class UnCLIPScheduler(SchedulerMixin):
    """`UnCLIPScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, variance_type: Any = 'fixed_small_log', clip_sample: Any = True, clip_sample_range: Any = 1.0, prediction_type: Any = 'epsilon', beta_schedule: Any = 'squaredcos_cap_v2') -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, prev_timestep: Any = None, generator: GeneratorLike | list[GeneratorLike] | None = None, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class UniPCMultistepScheduler(MultistepIndex, TimeShift, VariancePreserving, SchedulerMixin):
    """`UniPCMultistepScheduler` of diffusers: see `SchedulerMixin` for its methods."""

    def __init__(self, num_train_timesteps: Any = 1000, beta_start: Any = 0.0001, beta_end: Any = 0.02, beta_schedule: Any = 'linear', trained_betas: Any = None, solver_order: Any = 2, prediction_type: Any = 'epsilon', thresholding: Any = False, dynamic_thresholding_ratio: Any = 0.995, sample_max_value: Any = 1.0, predict_x0: Any = True, solver_type: Any = 'bh2', lower_order_final: Any = True, disable_corrector: Any = ..., solver_p: Any = None, use_karras_sigmas: Any = False, use_exponential_sigmas: Any = False, use_beta_sigmas: Any = False, use_flow_sigmas: Any = False, flow_shift: Any = 1.0, timestep_spacing: Any = 'linspace', steps_offset: Any = 0, final_sigmas_type: Any = 'zero', rescale_betas_zero_snr: Any = False, use_dynamic_shifting: Any = False, time_shift_type: Any = 'exponential', sigma_min: Any = None, sigma_max: Any = None, shift_terminal: Any = None) -> None:
        """A scheduler with these values of its configuration, and the defaults for the others."""

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, sigmas: Any = None, mu: Any = None) -> None:
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device (str): The CPU or an NVIDIA card; the timesteps stay on the CPU.
            sigmas (Sequence[float]): The noise levels of the run instead, in descending order.
            mu (float): The shift of the noise levels of a flow.
        """

    def step(self, model_output: ArrayLike, timestep: int | float | ArrayLike, sample: ArrayLike, return_dict: bool = True) -> Any:
        """One step: from the sample at a timestep to the less noisy one before it.

        Args:
            model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.
            timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.
            sample (ArrayLike): The sample, of the same shape.
            return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.

        Returns:
            A `SchedulerOutput`, whose arrays are of the kind of `sample`.

        Raises:
            ValueError: when a shape or the timestep does not fit.
        """

class VaeImageProcessor:
    """Turns images into tensors for an autoencoder, and decoded tensors back into images."""

    def __init__(self, do_resize: Any = True, vae_scale_factor: Any = 8, vae_latent_channels: Any = 4, resample: Any = 'lanczos', reducing_gap: Any = None, do_normalize: Any = True, do_binarize: Any = False, do_convert_rgb: Any = False, do_convert_grayscale: Any = False) -> None: ...

    def __repr__(self) -> str: ...

    def apply_overlay(self, mask: Any, init_image: Any, image: Any, crop_coords: Any = None) -> Any:
        """The picture `init_image` with `image` in the places that the mask marks. With `crop_coords`, `image` covers that region alone."""

    @staticmethod
    def binarize(image: Any) -> Any:
        """Values of 0 and 1, in place: 1 where the array has at least 0.5."""

    @staticmethod
    def blur(image: Any, blur_factor: Any = 4) -> Any:
        """A picture or mask of Pillow, blurred by a Gaussian of this radius."""

    @property
    def config(self) -> FrozenDict:
        """What the processor was made with: a mapping that cannot be changed."""

    config_name: str

    @staticmethod
    def convert_to_grayscale(image: Any) -> Any:
        """A picture of Pillow in shades of grey."""

    @staticmethod
    def convert_to_rgb(image: Any) -> Any:
        """A picture of Pillow in RGB."""

    @staticmethod
    def denormalize(images: Any) -> Any:
        """Values in [0, 1] for values in [-1, 1]; those outside are clamped."""

    @staticmethod
    def get_crop_region(mask_image: Any, width: Any, height: Any, pad: Any = 0) -> Any:
        """The region `(x1, y1, x2, y2)` around what a mask of Pillow marks, with `pad` pixels on each side, widened as far as the picture
        reaches to the proportions of `width` and `height`.
        """

    def get_default_height_width(self, image: Any, height: Any = None, width: Any = None) -> Any:
        """The sides that a picture or an array of pictures gets, which are multiples of `vae_scale_factor`."""

    @staticmethod
    def normalize(images: Any) -> Any:
        """Values in [-1, 1] for values in [0, 1]."""

    @staticmethod
    def numpy_to_pil(images: Any) -> Any:
        """Pictures of Pillow for an array `[batch, height, width, channels]` with values in [0, 1], or for that of one picture."""

    @staticmethod
    def numpy_to_pt(images: Any) -> Any:
        """A tensor `[batch, channels, height, width]` for an array `[batch, height, width, channels]`."""

    @staticmethod
    def pil_to_numpy(images: Any) -> Any:
        """Pictures of Pillow as an array `[batch, height, width, channels]` with values in [0, 1]."""

    def postprocess(self, image: Any, output_type: Any = 'pil', do_denormalize: Any = None) -> Any:
        """Decoded images, `[batch, channels, height, width]`, as images of Pillow (`"pil"`), an array of numpy (`"np"`,
        `[batch, height, width, channels]`) or a tensor (`"pt"`).
        """

    def preprocess(self, image: Any, height: Any = None, width: Any = None, resize_mode: Any = 'default', crops_coords: Any = None) -> Any:
        """The values of images, `[batch, channels, height, width]`: in [-1, 1], or in [0, 1] without `do_normalize`."""

    @staticmethod
    def pt_to_numpy(images: Any) -> Any:
        """An array of numpy `[batch, height, width, channels]` for a tensor `[batch, channels, height, width]`."""

    def resize(self, image: Any, height: Any, width: Any, resize_mode: Any = 'default') -> Any:
        """A picture of Pillow in another size: stretched (`"default"`), as a whole on a ground that continues its edges (`"fill"`), or with
        what juts out on two sides left out (`"crop"`).
        """

class VaeMixin:
    """How the autoencoder of a pipeline goes through images."""

    def disable_vae_slicing(self) -> Any:
        """Encodes and decodes whole batches."""

    def disable_vae_tiling(self) -> Any:
        """Encodes and decodes whole images."""

    def enable_vae_slicing(self) -> Any:
        """Encodes and decodes the images of a batch one by one."""

    def enable_vae_tiling(self) -> Any:
        """Encodes and decodes large images in overlapping tiles, so that memory does not grow with their size."""

class VariancePreserving:
    """Solvers that work with the logarithm of the ratio of signal to noise."""

    @property
    def alpha_t(self) -> Any:
        """The standard deviation of the signal at each timestep of the training."""

    @property
    def lambda_t(self) -> Any:
        """Half the logarithm of the ratio of signal to noise at each timestep of the training."""

    @property
    def sigma_t(self) -> Any:
        """The standard deviation of the noise at each timestep of the training."""

    @property
    def sigmas(self) -> Any:
        """The noise levels of the run; before `set_timesteps`, those of the training, from clean to noisy."""

class Velocity:
    """Schedulers that know what a model with v-prediction is trained to predict."""

    def get_velocity(self, sample: ArrayLike, noise: Any, timesteps: Any) -> Any:
        """The velocity √ᾱ·noise − √(1 − ᾱ)·sample, with ᾱ at the timestep of each sample."""

class VelocityAtLevels(Velocity):
    """Schedulers whose timesteps lie between those of the training."""

    def get_velocity(self, sample: ArrayLike, noise: Any, timesteps: Any) -> Any:
        """The velocity √ᾱ·noise − √(1 − ᾱ)·sample, with ᾱ at the timestep of each sample: one of `timesteps`, not its index.

        Raises:
            ValueError: when the timesteps are whole numbers, as indices are.
        """

class ZImageControlNetInpaintPipeline(DiffusionPipeline):
    """`ZImageControlNetInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, control_image: ImageInput | None = None, *, controlnet_conditioning_scale: float = 0.75, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, cfg_normalization: bool = False, cfg_truncation: float = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: Any | None = None, negative_prompt_embeds: Any | None = None, max_sequence_length: int = 512, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ZImageControlNetInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1], and gives the result its size.
            controlnet_conditioning_scale (float): How strongly to follow them; 0 is not at all.
            height (int): Height of the images in pixels, a multiple of 16.
            width (int): Width of the images in pixels, a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
            cfg_normalization (bool): Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number to this many times as much.
            cfg_truncation (float): The time from 0 (noise) to 1 after which there is no guidance.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (Any): Embedded prompts, each `[tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (Any): Embedded negative prompts, each `[tokens, features]`, instead of `negative_prompt`.
            max_sequence_length (int): The most tokens of a prompt with the words around it that the language model expects; more are cut off.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ZImageControlNetModel(ModelMixin):
    """`ZImageControlNetModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, x: Any | None = None, t: float | Sequence[float] | ArrayLike | None = None, cap_feats: Any | None = None, control_context: Any | None = None, conditioning_scale: float = 1.0, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ZImageControlNetModel.

        Args:
            x (Any): The noisy latents of each image, `[in_channels, frames, height, width]`.
            t (float | Sequence[float] | ArrayLike): The time from 0 (noise) to 1: one for all images, or one for each.
            cap_feats (Any): The hidden states of each caption, `[tokens, cap_feat_dim]`.
            control_context (Any): The image to follow for each image, `[control_in_dim, frames, height, width]`.
            conditioning_scale (float): A factor of the results.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, x: Any | None = None, t: float | Sequence[float] | ArrayLike | None = None, cap_feats: Any | None = None, control_context: Any | None = None, conditioning_scale: float = 1.0, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ZImageControlNetModel.

        Args:
            x (Any): The noisy latents of each image, `[in_channels, frames, height, width]`.
            t (float | Sequence[float] | ArrayLike): The time from 0 (noise) to 1: one for all images, or one for each.
            cap_feats (Any): The hidden states of each caption, `[tokens, cap_feat_dim]`.
            control_context (Any): The image to follow for each image, `[control_in_dim, frames, height, width]`.
            conditioning_scale (float): A factor of the results.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class ZImageControlNetPipeline(DiffusionPipeline):
    """`ZImageControlNetPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, control_image: ImageInput | None = None, *, controlnet_conditioning_scale: float = 0.75, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, cfg_normalization: bool = False, cfg_truncation: float = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: Any | None = None, negative_prompt_embeds: Any | None = None, max_sequence_length: int = 512, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ZImageControlNetPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            control_image (ImageInput): The images to follow: one for all prompts, or one for each. They are resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1], and gives the result its size.
            controlnet_conditioning_scale (float): How strongly to follow them; 0 is not at all.
            height (int): Height of the images in pixels, a multiple of 16.
            width (int): Width of the images in pixels, a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
            cfg_normalization (bool): Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number to this many times as much.
            cfg_truncation (float): The time from 0 (noise) to 1 after which there is no guidance.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (Any): Embedded prompts, each `[tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (Any): Embedded negative prompts, each `[tokens, features]`, instead of `negative_prompt`.
            max_sequence_length (int): The most tokens of a prompt with the words around it that the language model expects; more are cut off.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ZImageImg2ImgPipeline(DiffusionPipeline):
    """`ZImageImg2ImgPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, strength: float = 0.6, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, cfg_normalization: bool = False, cfg_truncation: float = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: Any | None = None, negative_prompt_embeds: Any | None = None, max_sequence_length: int = 512, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ZImageImg2ImgPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to start from: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            strength (float): How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image is left.
            height (int): Height of the images in pixels, a multiple of 16.
            width (int): Width of the images in pixels, a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
            cfg_normalization (bool): Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number to this many times as much.
            cfg_truncation (float): The time from 0 (noise) to 1 after which there is no guidance.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (Any): Embedded prompts, each `[tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (Any): Embedded negative prompts, each `[tokens, features]`, instead of `negative_prompt`.
            max_sequence_length (int): The most tokens of a prompt with the words around it that the language model expects; more are cut off.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ZImageInpaintPipeline(DiffusionPipeline):
    """`ZImageInpaintPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, mask_image: ImageInput | None = None, *, masked_image_latents: ArrayLike | None = None, strength: float = 1.0, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, cfg_normalization: bool = False, cfg_truncation: float = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: Any | None = None, negative_prompt_embeds: Any | None = None, max_sequence_length: int = 512, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ZImageInpaintPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents have is treated as latents.
            mask_image (ImageInput): The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
            masked_image_latents (ArrayLike): Has no effect, as in Python: the transformer does not look at the image without its masked part.
            strength (float): How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
            height (int): Height of the images in pixels, a multiple of 16.
            width (int): Width of the images in pixels, a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
            cfg_normalization (bool): Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number to this many times as much.
            cfg_truncation (float): The time from 0 (noise) to 1 after which there is no guidance.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (Any): Embedded prompts, each `[tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (Any): Embedded negative prompts, each `[tokens, features]`, instead of `negative_prompt`.
            max_sequence_length (int): The most tokens of a prompt with the words around it that the language model expects; more are cut off.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ZImageOmniPipeline(DiffusionPipeline):
    """`ZImageOmniPipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, image: ImageInput | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, cfg_normalization: bool = False, cfg_truncation: float = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: Any | None = None, negative_prompt_embeds: Any | None = None, max_sequence_length: int = 512, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ZImageOmniPipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            image (ImageInput): The images to look at: each has a size of its own, with sides of at least 64 pixels. Those of more than a megapixel are resized.
            height (int): Height of the images in pixels, a multiple of 16.
            width (int): Width of the images in pixels, a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
            cfg_normalization (bool): Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number to this many times as much.
            cfg_truncation (float): The time from 0 (noise) to 1 after which there is no guidance.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (Any): Embedded prompts, for each its parts, `[tokens, features]`: one before each image, and any number after the last, instead of `prompt`.
            negative_prompt_embeds (Any): Embedded negative prompts, for each its parts, `[tokens, features]`: one before each image, and any number after the last, instead of `negative_prompt`.
            max_sequence_length (int): The most tokens of a prompt with the words around it that the language model expects; more are cut off.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ZImagePipeline(DiffusionPipeline):
    """`ZImagePipeline` of diffusers: see `DiffusionPipeline` for its other methods."""

    def __call__(self, prompt: str | list[str] | None = None, *, height: int | None = None, width: int | None = None, num_inference_steps: int = 50, sigmas: float | Sequence[float] | ArrayLike | None = None, guidance_scale: float = 5.0, cfg_normalization: bool = False, cfg_truncation: float = 1.0, negative_prompt: str | list[str] | None = None, num_images_per_prompt: int = 1, generator: GeneratorLike | list[GeneratorLike] | None = None, latents: ArrayLike | None = None, prompt_embeds: Any | None = None, negative_prompt_embeds: Any | None = None, max_sequence_length: int = 512, output_type: Literal["pil", "np", "pt", "latent"] = 'pil', callback_on_step_end: StepCallback | None = None, callback_on_step_end_tensor_inputs: Sequence[str] = ..., return_dict: bool = True, **others: Any) -> Any:
        """Makes images: ZImagePipeline.

        Args:
            prompt (str | list[str]): The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
            height (int): Height of the images in pixels, a multiple of 16.
            width (int): Width of the images in pixels, a multiple of 16.
            num_inference_steps (int): Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
            sigmas (float | Sequence[float] | ArrayLike): The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
            guidance_scale (float): How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
            cfg_normalization (bool): Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number to this many times as much.
            cfg_truncation (float): The time from 0 (noise) to 1 after which there is no guidance.
            negative_prompt (str | list[str]): The negative prompts, what not to show: none, one for all prompts, or one for each.
            num_images_per_prompt (int): Number of images for each prompt.
            generator (GeneratorLike | list[GeneratorLike]): Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            latents (ArrayLike): The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an image argument, latents that are denoised as they are.
            prompt_embeds (Any): Embedded prompts, each `[tokens, features]`, instead of `prompt`.
            negative_prompt_embeds (Any): Embedded negative prompts, each `[tokens, features]`, instead of `negative_prompt`.
            max_sequence_length (int): The most tokens of a prompt with the words around it that the language model expects; more are cut off.
            output_type (Literal["pil", "np", "pt", "latent"]): The type of the returned images.
            callback_on_step_end (StepCallback): Called after each step.

        Returns:
            An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument has a value that the pipeline cannot work with.
            TypeError: when the pipeline does not take an argument.
            MemoryError: when the images do not fit into memory.
        """

    model_cpu_offload_seq: str

class ZImageTransformer2DModel(ModelMixin):
    """`ZImageTransformer2DModel` of Python: see `ModelMixin` for its methods."""

    def __call__(self, x: Any | None = None, t: float | Sequence[float] | ArrayLike | None = None, cap_feats: Any | None = None, siglip_feats: Any | None = None, image_noise_mask: Any | None = None, patch_size: int = 2, f_patch_size: int = 1, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ZImageTransformer2DModel.

        Args:
            x (Any): The noisy latents of each image, `[in_channels, frames, height, width]`; or lists of images for each item, the last noisy.
            t (float | Sequence[float] | ArrayLike): The time from 0 (noise) to 1: one for all images, or one for each.
            cap_feats (Any): The hidden states of each caption, `[tokens, cap_feat_dim]`; or lists of its parts, one before each image.
            siglip_feats (Any): With lists of images, what a vision model saw in each of them, `[rows, columns, siglip_feat_dim]`.
            image_noise_mask (Any): With lists of images, 1 for each that is noisy and 0 for each that is not.
            patch_size (int): The height and width of a patch.
            f_patch_size (int): The frames of a patch.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

    def forward(self, x: Any | None = None, t: float | Sequence[float] | ArrayLike | None = None, cap_feats: Any | None = None, siglip_feats: Any | None = None, image_noise_mask: Any | None = None, patch_size: int = 2, f_patch_size: int = 1, return_dict: bool = True, **others: Any) -> Any:
        """Calls the ZImageTransformer2DModel.

        Args:
            x (Any): The noisy latents of each image, `[in_channels, frames, height, width]`; or lists of images for each item, the last noisy.
            t (float | Sequence[float] | ArrayLike): The time from 0 (noise) to 1: one for all images, or one for each.
            cap_feats (Any): The hidden states of each caption, `[tokens, cap_feat_dim]`; or lists of its parts, one before each image.
            siglip_feats (Any): With lists of images, what a vision model saw in each of them, `[rows, columns, siglip_feat_dim]`.
            image_noise_mask (Any): With lists of images, 1 for each that is noisy and 0 for each that is not.
            patch_size (int): The height and width of a patch.
            f_patch_size (int): The frames of a patch.

        Returns:
            An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.

        Raises:
            ValueError: when an argument is missing, or a shape does not fit.
        """

class _Adapters(Several):
    @property
    def adapters(self) -> Any:
        """The models."""

    @property
    def total_downscale_factor(self) -> Any:
        """How many pixels one position of the smallest feature stands for, in each direction."""

__version__: str

def arange(start: Any, end: Any = None, step: Any = 1) -> Tensor:
    """The numbers from 0, or `start`, up to but not including `end`."""

bfloat16: dtype

bool_: dtype

def cat(tensors: Any, dim: Any = 0) -> Tensor:
    """The tensors one after the other along a dimension."""

def default_generator() -> Generator:
    """The generator that `manual_seed` seeds."""

class dtype:
    """An element type: `oxidiff.float32`. It equals those of numpy and torch with the same name."""

    def __eq__(self, value: Any) -> Any: ...  # type: ignore[override]

    def __ge__(self, value: Any) -> Any: ...

    def __gt__(self, value: Any) -> Any: ...

    def __le__(self, value: Any) -> Any: ...

    def __lt__(self, value: Any) -> Any: ...

    def __ne__(self, value: Any) -> Any: ...  # type: ignore[override]

    def __repr__(self) -> str: ...

    @property
    def is_floating_point(self) -> bool:
        """Whether the elements are floating point numbers."""

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""

    @property
    def name(self) -> str:
        """The name of the type, as numpy and torch have it."""

def export_to_gif(image: Any, output_gif_path: Any = None, fps: Any = 10) -> str:
    """Writes images of Pillow as an animation, and returns the path of the file."""

float16: dtype

float32: dtype

float64: dtype

int16: dtype

int32: dtype

int64: dtype

int8: dtype

def load_image(image: Any, convert_method: Any = None) -> Image:
    """An image as one of Pillow in RGB, upright: from a path, an address on the web, or an image of Pillow."""

def make_image_grid(images: Any, rows: Any, cols: Any, resize: Any = None) -> Image:
    """One image of Pillow of several, in rows and columns."""

def manual_seed(seed: Any) -> Generator:
    """Seeds the generator of calls that are given none, as `torch.manual_seed` does, and returns it. In a program that imports
    torch and does not call this, that generator is torch's.
    """

def ones(*size: Any, dtype: Any = None) -> Tensor:
    """A tensor of ones."""

def randn(*size: Any, generator: GeneratorLike | list[GeneratorLike] | None = None, dtype: Any = None) -> Tensor:
    """Samples of the standard normal distribution: the values of `torch.randn` with a generator of the same seed. Without a
    generator, they come from the default one: see `manual_seed`.
    """

def set_float32_matmul_precision(precision: Any) -> Any:
    """How exactly NVIDIA cards multiply in models that compute in float32, for the whole program: torch's function of this name.

    Args:
        precision (str): `"highest"`, as at the start, has the error of float32. `"high"` and `"medium"` round the factors of convolutions and
            linear layers to TF32, which is faster and has a relative error of up to 1e-3.
    """

def set_max_memory(limit: Any) -> Any:
    """Sets how much memory this process may use: bytes, or a text such as "12GiB"; `None` leaves it to the machine.

    Images that do not fit are decoded in tiles, other work is refused before it starts. Weights that stay in their files do not count.
    """

def stack(tensors: Any, dim: Any = 0) -> Tensor:
    """The tensors, of the same shape, along a new dimension."""

uint8: dtype

def zeros(*size: Any, dtype: Any = None) -> Tensor:
    """A tensor of zeros."""
