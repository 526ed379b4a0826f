"""An image is opened whole and within a budget, or refused in a line."""

import io

import pytest
from PIL import Image

from lossforge.errors import DataError, FileFormatError
from lossforge.tasks.image_file import open_image


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def test_images_are_opened_from_files_and_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(png(4, 3))
    assert open_image(tmp_path / "a.png", "a").size == (4, 3)
    assert open_image(png(4, 3), "a").size == (4, 3)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "a is no whole image"),
        (b"text", "a is no whole image"),
        (png(64, 64)[:40], "a is no whole image"),
        (png(5000, 5000), "a has 5000 x 5000 pixels, more than 16777216; make it smaller"),
    ],
    ids=["empty", "text", "cut", "huge"],
)
def test_what_is_no_image_is_refused_in_a_line(content, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        open_image(content, "a")
    assert "\n" not in str(caught.value)


def test_missing_files_are_told(tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        open_image(tmp_path / "a.png", "a")
