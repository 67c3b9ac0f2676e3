"""Regions: connected areas, measured by hand on drawn maps."""

import numpy as np
import pytest

from mambaad_demo.pipeline.regions import MAX_REGIONS, find_regions


def drawn(height=60, width=80, **areas):
    """A map of zeros with rectangles; each area is (top, left, height, width, value)."""
    anomaly_map = np.zeros((height, width), np.float32)
    for top, left, tall, wide, value in areas.values():
        anomaly_map[top : top + tall, left : left + wide] = value
    return anomaly_map


def polygon_area(contour):
    x, y = np.array(contour).T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def test_regions_come_with_their_measures_highest_peak_first():
    anomaly_map = drawn(weak=(5, 10, 6, 8, 0.4), strong=(30, 40, 10, 20, 0.6))
    anomaly_map[33, 47] = 0.9

    strong, weak = find_regions(anomaly_map, 0.3)

    assert (strong.x, strong.y, strong.width, strong.height) == (40, 30, 20, 10)
    assert (strong.area, strong.peak_x, strong.peak_y) == (200, 47, 33)
    assert strong.peak == pytest.approx(0.9)
    assert (weak.x, weak.y, weak.area) == (10, 5, 48)


def test_cells_that_touch_by_a_corner_are_one_region():
    anomaly_map = drawn(one=(10, 10, 5, 5, 0.5), other=(15, 15, 5, 5, 0.5))

    (region,) = find_regions(anomaly_map, 0.3)

    assert (region.width, region.height, region.area) == (10, 10, 50)


def test_the_contour_encloses_the_region_and_stays_inside_the_picture():
    anomaly_map = drawn(edge=(0, 60, 30, 20, 1.0))

    (region,) = find_regions(anomaly_map, 0.5)

    x, y = np.array(region.contour).T
    assert (x.min(), x.max(), y.max()) == pytest.approx((60, 80, 30), abs=0.6)
    assert y.min() == pytest.approx(0, abs=0.6)
    assert x.max() <= 80
    assert region.contour[0] == region.contour[-1]
    assert polygon_area(region.contour) == pytest.approx(600, rel=0.1)


def test_a_large_region_has_a_short_contour():
    rows, columns = np.mgrid[:900, :1200]
    anomaly_map = (1 - np.hypot(rows - 450, columns - 600) / 500).astype(np.float32)

    (region,) = find_regions(anomaly_map, 0.2)

    assert polygon_area(region.contour) == pytest.approx(np.pi * 400**2, rel=0.02)
    assert len(region.contour) < 400


def test_specks_are_dropped_unless_they_hold_the_maximum():
    anomaly_map = drawn(speck=(3, 3, 2, 2, 0.9), blob=(20, 20, 8, 8, 0.5), dust=(50, 70, 3, 3, 0.6))

    regions = find_regions(anomaly_map, 0.3)

    assert [region.area for region in regions] == [4, 64]


def test_what_counts_as_a_speck_grows_with_the_picture():
    anomaly_map = drawn(peak=(40, 40, 10, 10, 0.9), blob=(20, 20, 8, 8, 0.5))

    assert len(find_regions(anomaly_map, 0.3, cell_area=4.0)) == 2
    assert len(find_regions(anomaly_map, 0.3, cell_area=5.0)) == 1


def test_a_single_pixel_at_the_threshold_is_outlined_by_its_box():
    anomaly_map = drawn()
    anomaly_map[7, 9] = 0.25

    (region,) = find_regions(anomaly_map, 0.25)

    assert region.area == 1
    assert polygon_area(region.contour) == pytest.approx(1.0, abs=0.6)


def test_there_are_never_too_many_regions():
    anomaly_map = np.zeros((400, 400), np.float32)
    for row in range(10):
        for column in range(10):
            anomaly_map[row * 40 : row * 40 + 5, column * 40 : column * 40 + 5] = 0.5 + row / 100

    regions = find_regions(anomaly_map, 0.3)

    assert len(regions) == MAX_REGIONS
    assert regions[0].peak == pytest.approx(0.59)


def test_a_map_below_the_threshold_has_no_regions():
    assert find_regions(drawn(), 0.1) == ()
