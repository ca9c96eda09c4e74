import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.vision.tracker import LOST_AFTER_NS, Tracks, advance

FRAME_NS = 66_666_667


def box(x: float, y: float = 100, side: float = 80) -> list[float]:
    return [x, y, x + side, y + side]


def follow(frames: list[list[list[float]]], tracks: Tracks | None = None) -> list[tuple[int, ...]]:
    """The ids of each frame's boxes."""
    tracks = tracks or Tracks()
    ids = []
    for number, boxes in enumerate(frames):
        moved = advance(tracks, np.array(boxes, np.float32).reshape(-1, 4), number * FRAME_NS)
        tracks = moved.tracks
        ids.append(tuple(track.id for track in moved.continued))
    return ids


def test_a_walking_face_keeps_its_id() -> None:
    assert set(follow([[box(20 + 25 * i, side=80 + 4 * i)] for i in range(20)])) == {(1,)}


def test_two_faces_that_cross_keep_their_ids_whatever_order_they_are_found_in() -> None:
    frames = [[box(20 * i), box(600 - 20 * i, y=105)][:: 1 if i % 2 else -1] for i in range(31)]
    found = follow(frames)
    left_to_right = [ids[frame.index(box(20 * i))] for i, (ids, frame) in enumerate(zip(found, frames, strict=True))]
    assert set(left_to_right) == {left_to_right[0]}
    assert {len(set(ids)) for ids in found} == {2}


def test_a_face_missed_for_two_frames_while_it_walks_keeps_its_id() -> None:
    frames = [[] if i in (8, 9) else [box(30 * i)] for i in range(14)]
    assert {ids for ids in follow(frames) if ids} == {(1,)}


def test_a_face_that_is_gone_is_lost_once_and_its_id_never_comes_back() -> None:
    tracks = advance(Tracks(), np.array([box(0)], np.float32), 0).tracks
    nobody = np.empty((0, 4), np.float32)
    assert advance(tracks, nobody, LOST_AFTER_NS).lost == ()
    gone = advance(tracks, nobody, LOST_AFTER_NS + 1)
    assert [track.id for track in gone.lost] == [1]
    assert gone.tracks.live == ()
    again = advance(gone.tracks, np.array([box(0)], np.float32), LOST_AFTER_NS + FRAME_NS)
    assert [track.id for track in again.continued] == [2]


def test_a_face_in_the_place_of_one_that_was_not_seen_for_too_long_is_a_new_track() -> None:
    before = advance(Tracks(), np.array([box(100)], np.float32), 0).tracks
    after = advance(before, np.array([box(100)], np.float32), LOST_AFTER_NS + 1)
    assert [track.id for track in after.lost] == [1]
    assert [track.id for track in after.continued] == [2]


def test_two_cameras_never_give_the_same_id() -> None:
    far_apart = [[box(300 * (i % 2), y=300 * (i % 3))] for i in range(40)]
    first = {i for ids in follow(far_apart, Tracks(next_id=1, stride=2)) for i in ids}
    second = {i for ids in follow(far_apart, Tracks(next_id=2, stride=2)) for i in ids}
    assert len(first) > 5
    assert not first & second


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 600), st.integers(0, 400), st.integers(20, 200)), max_size=5),
        max_size=12,
    )
)
def test_every_box_has_one_track_and_no_track_two_boxes(frames: list[list[tuple[int, int, int]]]) -> None:
    tracks = Tracks()
    for number, places in enumerate(frames):
        boxes = np.array([[x, y, x + side, y + side] for x, y, side in places], np.float32).reshape(-1, 4)
        before = {track.id for track in tracks.live}
        moved = advance(tracks, boxes, number * FRAME_NS)
        ids = [track.id for track in moved.continued]
        assert len(set(ids)) == len(ids) == len(places)
        assert before <= {t.id for t in (*moved.tracks.live, *moved.lost)}
        np.testing.assert_array_equal(np.array([t.box for t in moved.continued], np.float32).reshape(-1, 4), boxes)
        tracks = moved.tracks
