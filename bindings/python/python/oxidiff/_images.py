"""Images: loading, arranging and saving them."""

import os


def load_image(image, convert_method=None):
    """An image as one of Pillow in RGB, upright: from a path, an address on the web, or an image of Pillow."""
    from PIL import Image, ImageOps

    if isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
        if name.startswith(("http://", "https://")):
            from io import BytesIO
            from urllib.request import urlopen

            with urlopen(name) as response:
                image = Image.open(BytesIO(response.read()))
        elif os.path.isfile(name):
            image = Image.open(name)
        else:
            raise ValueError(f"`{name}` is neither a file nor an address that begins with `http://` or `https://`")
    elif not isinstance(image, Image.Image):
        raise ValueError("an image is a path, an address on the web, or an image of Pillow")
    image = ImageOps.exif_transpose(image)
    return convert_method(image) if convert_method is not None else image.convert("RGB")


def make_image_grid(images, rows, cols, resize=None):
    """One image of Pillow of several, in rows and columns."""
    from PIL import Image

    if len(images) != rows * cols:
        raise ValueError(f"{len(images)} images do not fill {rows} rows of {cols}")
    if resize is not None:
        images = [image.resize((resize, resize)) for image in images]
    width, height = images[0].size
    grid = Image.new("RGB", size=(cols * width, rows * height))
    for index, image in enumerate(images):
        grid.paste(image, box=(index % cols * width, index // cols * height))
    return grid


def export_to_gif(image, output_gif_path=None, fps=10):
    """Writes images of Pillow as an animation, and returns the path of the file."""
    if output_gif_path is None:
        import tempfile

        output_gif_path = tempfile.NamedTemporaryFile(suffix=".gif", delete=False).name
    image[0].save(
        output_gif_path,
        save_all=True,
        append_images=image[1:],
        optimize=False,
        duration=1000 // fps,
        loop=0,
    )
    return output_gif_path
