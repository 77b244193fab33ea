"""IP-Adapters, which take pictures as prompts, and FreeU."""

import json
import os

from ._loading import own_options, path

#: An argument that was not given, where `None` means something.
NOT_GIVEN = object()


class IPAdapterMixin:
    """Methods of pipelines that take pictures as prompts."""

    def load_ip_adapter(self, pretrained_model_name_or_path_or_dict, subfolder="", weight_name=None,
                        image_encoder_folder="image_encoder", image_encoder_pretrained_model_name_or_path=NOT_GIVEN,
                        image_encoder_subfolder="", image_encoder_dtype=None, **kwargs):
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
        if image_encoder_pretrained_model_name_or_path is not NOT_GIVEN:
            image_encoder_folder = image_encoder_pretrained_model_name_or_path
            if image_encoder_folder is not None and os.path.isdir(image_encoder_folder):
                image_encoder_folder = os.path.abspath(os.path.join(image_encoder_folder, image_encoder_subfolder))
            elif image_encoder_subfolder:
                raise NotImplementedError("`image_encoder_subfolder`: only of a folder on disk")
        files = _listed(weight_name)
        sources = _repeated(pretrained_model_name_or_path_or_dict, len(files), "pretrained_model_name_or_path_or_dict")
        folders = _repeated(subfolder, len(files), "subfolder")
        adapters = []
        for source, folder, file in zip(sources, folders, files):
            if isinstance(source, dict):
                raise NotImplementedError("weights in a dictionary are not supported: give the path of a file")
            options = own_options(kwargs, type(self).__name__)
            options.update(subfolder=folder, weight_name=file, image_encoder_folder=image_encoder_folder)
            adapters.append((path(source), {name: value for name, value in options.items() if value is not None}))
        self._change("load_ip_adapters", adapters)

    def set_ip_adapter_scale(self, scale):
        """Sets how strongly the pictures of each IP-Adapter count: a number, `{"down": {"block_2": [0.0, 1.0]}, "up": 0.5}` for the
        blocks of the UNet, of which others do not count, or a list with one for each adapter. With masks, an adapter can have a
        list of a number for each picture. FLUX.1 takes a number for all adapters, or for one adapter a list with a number for each
        block, or a list with one of these for each adapter.
        """
        scales = scale if isinstance(scale, list) else [scale]
        self._change("set_ip_adapter_scale", [json.dumps(each) for each in scales])

    def unload_ip_adapter(self):
        """Removes the IP-Adapters and their image encoder."""
        self._change("unload_ip_adapter")

    def prepare_ip_adapter_image_embeds(self, ip_adapter_image, ip_adapter_image_embeds, device=None, num_images_per_prompt=1,
                                        do_classifier_free_guidance=True):
        """Embeds the pictures of each IP-Adapter; with guidance, the embedding of no picture comes first."""
        if ip_adapter_image_embeds is not None:
            raise NotImplementedError("`ip_adapter_image_embeds` are prepared already")
        self._synchronise()
        return self._core.prepare_ip_adapter_image_embeds(
            ip_adapter_image, num_images_per_prompt, bool(do_classifier_free_guidance))

    def enable_freeu(self, s1, s2, b1, b2):
        """Turns FreeU on: factors of the skips (`s1`, `s2`) and of what comes from below (`b1`, `b2`) in two blocks of the UNet."""
        self._change("set_freeu", [float(s1), float(s2), float(b1), float(b2)])

    def disable_freeu(self):
        """Turns FreeU off."""
        self._change("set_freeu", None)


def _listed(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _repeated(value, count, name):
    """One value for each of `count` adapters."""
    values = _listed(value)
    values = values * count if len(values) == 1 else values
    if len(values) != count:
        raise ValueError(f"`weight_name` and `{name}` must have the same length")
    return [os.fspath(value) if isinstance(value, os.PathLike) else value for value in values]
