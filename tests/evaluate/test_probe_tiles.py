from __future__ import annotations

import numpy as np
import pytest

from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError
from muse_core.evaluate.probe_tiles import probe_set


def _image(xy: list[tuple[float, float]], mpp: float = 0.5) -> AnnotatedImage:
    """490 x 300 px, with a black pixel at each nucleus on coloured noise."""
    pixels = np.random.default_rng(0).integers(100, 256, (300, 490, 3), dtype=np.uint8)
    for x, y in xy:
        pixels[int(y), int(x)] = 0
    names = tuple("ab"[i % 2] for i in range(len(xy)))
    return AnnotatedImage("i", pixels, np.array(xy, dtype=np.float32).reshape(-1, 2), names, mpp)


POINTS = [(0.5, 0.5), (223.5, 10.5), (224.5, 10.5), (489.5, 299.5), (100.5, 250.5)]


@pytest.mark.parametrize("fov_px", [224, 512])
def test_each_nucleus_is_in_one_tile_where_its_pixel_is(fov_px: int) -> None:
    tiles = probe_set([_image(POINTS)], ("a", "b"), 0.5, fov_px)
    margin = (fov_px - 224) // 2
    assert sum(len(t.labels) for t in tiles.tiles) == len(POINTS)
    for tile in tiles.tiles:
        pixels = tiles.pixels(tile)
        assert pixels.shape == (fov_px, fov_px, 3)
        for x, y in tile.xy:
            assert (pixels[int(y), int(x)] == 0).all()
            assert margin <= x < margin + 224
            assert margin <= y < margin + 224


def test_cells_part_the_image_and_empty_ones_are_left_out() -> None:
    tiles = probe_set([_image(POINTS), _image([])], ("a", "b"), 0.5, 224)
    places = [(t.x_px, t.y_px) for t in tiles.tiles]
    assert places == [(0, 0), (224, 0), (0, 224), (448, 224)]
    assert tiles.n_images == 2
    assert tiles.labels.tolist() == [0, 1, 0, 0, 1]
    assert tiles.image_of_nucleus.tolist() == [0] * 5


def test_images_are_brought_to_the_models_resolution() -> None:
    tiles = probe_set([_image([(400.0, 200.0)], mpp=0.25)], ("a", "b"), 0.5, 224)
    np.testing.assert_allclose(tiles.tiles[0].xy, [[200, 100]], atol=0.01)


def test_what_lies_beyond_the_image_is_mirrored() -> None:
    image = _image([(489.5, 10.5)])
    tiles = probe_set([image], ("a",), 0.5, 224)
    pixels = tiles.pixels(tiles.tiles[0])
    width = 490 - 448
    np.testing.assert_array_equal(pixels[:, width : 2 * width], pixels[:, :width][:, ::-1])


def test_other_classes_and_fields_of_view_are_refused() -> None:
    with pytest.raises(UserError, match="class 'b'"):
        probe_set([_image(POINTS)], ("a",), 0.5, 224)
    with pytest.raises(UserError, match="224 or 512"):
        probe_set([_image(POINTS)], ("a", "b"), 0.5, 256)
