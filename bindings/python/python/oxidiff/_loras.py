"""LoRAs, learned words, and what needs nothing here."""

import json

from ._loading import own_options, path


def _nothing(about):
    def method(self, *args, **kwargs):
        return None

    method.__doc__ = about
    return method


class LoraMixin:
    """Methods of pipelines that load adapters into their models."""

    def load_lora_weights(self, pretrained_model_name_or_path_or_dict, adapter_name=None, **kwargs):
        """Loads a LoRA from a file, a folder or the hub, which becomes the active adapter.

        Args:
            pretrained_model_name_or_path_or_dict (str): The file, the folder, or the name of a repository.
            adapter_name (str): A name for `set_adapters`; by default `default_0`, `default_1` and so on.
            weight_name (str), subfolder (str): The file in the folder or the repository.

        Raises:
            OSError: when there is no such file, or it holds no LoRA.
        """
        chosen = self._file(pretrained_model_name_or_path_or_dict, {"adapter_name": adapter_name, **kwargs})
        self._change("load_lora_weights", path(pretrained_model_name_or_path_or_dict), chosen)

    def load_textual_inversion(self, pretrained_model_name_or_path, token=None, **kwargs):
        """Adds a learned word to the tokenizer and its vectors to the text encoder.

        Args:
            pretrained_model_name_or_path (str): The file, the folder, or the name of a repository.
            token (str): What to write in a prompt; by default the word that the file names.
        """
        chosen = self._file(pretrained_model_name_or_path, kwargs)
        self._change("load_textual_inversion", path(pretrained_model_name_or_path), {**chosen, "prompt_token": token})

    def _file(self, name_or_path, kwargs):
        if isinstance(name_or_path, (dict, list)):
            raise NotImplementedError("weights in a dictionary are not supported: give the path of a file")
        return own_options(kwargs, type(self).__name__)

    def _change(self, name, *args):
        """Lets the library change the models of its pipeline."""
        self._synchronise()
        result = getattr(self._core, name)(*args)
        self._refresh()
        return result

    def set_adapters(self, adapter_names, adapter_weights=None):
        """Activates adapters, each with a weight: 1 is the adapter as it was trained, 0 has no effect.

        A weight can be a dictionary of a weight for each model: `{"unet": 0.8, "text_encoder": 0.5}`. That of the UNet can again
        be a dictionary: `{"down": 0.5, "mid": 0.8, "up": {"block_0": 0.6, "block_1": [0.4, 0.8, 1.0]}}`.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        weights = list(adapter_weights) if isinstance(adapter_weights, (list, tuple)) else [adapter_weights] * len(names)
        if len(weights) != len(names):
            raise ValueError(f"`adapter_weights`: {len(weights)} weights for {len(names)} adapters")
        adapters = []
        for name, weight in zip(names, weights):
            by_model = weight if isinstance(weight, dict) else {}
            single = 1.0 if weight is None or by_model else float(weight)
            adapters.append((name, single, [(model, json.dumps(value)) for model, value in by_model.items()]))
        self._change("set_adapters", adapters)

    def enable_lora(self):
        """Computes with the active adapters again."""
        self._change("enable_lora", True)

    def disable_lora(self):
        """Computes without adapters until `enable_lora`."""
        self._change("enable_lora", False)

    def fuse_lora(self, components=None, lora_scale=1.0, safe_fusing=False, adapter_names=None):
        """Merges the active adapters, or those named, into the weights, times `lora_scale`."""
        self._check_components(components)
        if safe_fusing:
            raise NotImplementedError("`safe_fusing` is not supported")
        if adapter_names is not None:
            adapter_names = self._known(adapter_names)
        if adapter_names != []:
            self._change("fuse_lora", lora_scale, adapter_names)

    def unfuse_lora(self, components=None):
        """Removes fused adapters from the weights."""
        self._check_components(components)
        self._change("unfuse_lora")

    def _check_components(self, components):
        own = {name for name, _ in self._core.get_list_adapters()}
        if components and not own <= set(components):
            raise NotImplementedError("`components`: adapters are fused into all models")

    def unload_lora_weights(self):
        """Removes all adapters. Fused adapters stay in the weights."""
        self._change("unload_lora_weights")

    def delete_adapters(self, adapter_names):
        """Removes some adapters."""
        names = self._known(adapter_names)
        if names:
            self._change("delete_adapters", names)

    def _known(self, adapter_names):
        """Those of these names that adapters have; the others have no effect, as in diffusers, but are logged."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        known = {name for _, several in self._core.get_list_adapters() for name in several}
        unknown = [name for name in names if name not in known]
        if unknown:
            import logging

            logging.getLogger("oxidiff").warning("There are no adapters %s: the names are ignored.", unknown)
        return [name for name in names if name in known]

    def get_list_adapters(self):
        """The adapters of each model."""
        return {model: names for model, names in self._core.get_list_adapters() if names}

    def get_active_adapters(self):
        """The adapters that are active in one of the models."""
        return self._core.get_active_adapters()

    @property
    def fused_loras(self):
        """The adapters that are fused into the weights of one of the models."""
        return set(self._core.fused_loras())

    @property
    def num_fused_loras(self):
        """The number of adapters that are fused into weights."""
        return len(self.fused_loras)

    enable_attention_slicing = _nothing("Does nothing: attention never holds the scores of all pairs of tokens.")
    disable_attention_slicing = _nothing("Does nothing: see `enable_attention_slicing`.")
    enable_xformers_memory_efficient_attention = _nothing("Does nothing: attention is memory-efficient already.")
    disable_xformers_memory_efficient_attention = _nothing("Does nothing: attention stays memory-efficient.")
