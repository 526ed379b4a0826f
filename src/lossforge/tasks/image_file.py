"""One way to open an image: whole and of a size that fits, or refused in a line."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lossforge.errors import DataError, one_line
from lossforge.files import read_regular

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 2**24
"""of one image: 4096 x 4096; a few bytes can ask for very many"""

MOST_BYTES = 2**28


def open_image(source: Path | bytes, where: str) -> "Image":
    """Return an image, decoded.

    Args:
        source: a file, or what a file holds.
        where: what the error calls it.

    Raises:
        DataError: it is no image, damaged, or has too many pixels.
        FileFormatError: the file cannot be read.
    """
    from PIL import Image

    content = source if isinstance(source, bytes) else read_regular(source, MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content))
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"{where} has {image.width} x {image.height} pixels, more than {MOST_PIXELS}; "
                    "make it smaller"
                )
            image.load()
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{where} needs more memory than there is; make it smaller") from None
    except Exception as error:  # Pillow's decoders raise errors of a dozen kinds
        raise DataError(
            f"{where} is no whole image ({one_line(error)}); replace or remove it"
        ) from None
    return image
