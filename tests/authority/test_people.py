"""Enrolment with the real pack: who is taken, which picture is refused and why, and what the gate then knows."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.authority.authority import Authority
from agent.authority.people import Enrolment, enrol
from agent.authority.register import Bound
from agent.core.identity import PersonStatus
from agent.roster import codec
from agent.roster.people import gallery_of
from agent.roster.secrecy import unseal
from agent.vision.sampler import Sampler
from tests.authority.conftest import NOW_S, U8, moved, one_bit_png, three

Faces = dict[str, U8]
Pictures = Callable[..., Path]


@pytest.fixture
def run(authority: Authority, sampler: Sampler, bound: Bound) -> Callable[[Path], dict[str, Enrolment]]:
    def enrolled(folder: Path) -> dict[str, Enrolment]:
        defaults = sampler.pack.manifest.comparison
        done = enrol(authority, folder, sampler=sampler, bound=bound, defaults=defaults, now_s=NOW_S, progress=lambda *_: None)
        return {each.person: each for each in done}

    return enrolled


Run = Callable[[Path], dict[str, Enrolment]]


def reasons(enrolment: Enrolment) -> dict[str, str | None]:
    return {picture.file: picture.reason for picture in enrolment.pictures}


def test_two_people_are_enrolled_and_the_gallery_tells_them_apart(
    authority: Authority, run: Run, pictures: Pictures, faces: Faces, sampler: Sampler
) -> None:
    done = run(pictures(astronaut=three(faces["astronaut"]), admiral=three(faces["admiral"])))
    assert {name: (each.refused, each.references, each.warnings) for name, each in done.items()} == {
        "astronaut": (None, 3, ()),
        "admiral": (None, 3, ()),
    }
    published = authority.release(sampler.pack.manifest.comparison, now_s=NOW_S)
    (file,) = (authority.folder / "repository" / "targets" / "enrol").iterdir()
    roster = codec.decode(file.read_bytes())
    gallery = gallery_of(roster, authority.key())
    (probe,) = sampler.sample_faces(moved(faces["admiral"], scale=1.1, x=9))
    best, other = gallery.identify(probe.template)
    assert (published.version, published.people, roster.pack) == (1, 2, sampler.pack.id)
    assert (best.record.person, other.record.person) == ("admiral", "astronaut")
    assert best.score > gallery.threshold > other.score


def test_no_picture_lies_in_the_authoritys_folder(authority: Authority, run: Run, pictures: Pictures, faces: Faces) -> None:
    """Neither as a file nor inside one: the register holds sealed templates alone."""
    run(pictures(astronaut=three(faces["astronaut"])))
    person = authority.register.person("astronaut")
    bound = authority.register.bound()
    assert bound is not None
    references = unseal(
        authority.key(), person.sealed, form=bound.form, binding=authority.binding("astronaut", person.revision, pack=bound.pack)
    )
    for file in authority.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"\x89PNG" not in content
            assert b"\xff\xd8\xff" not in content
            assert references[0].astype("<f2").tobytes()[:32] not in content


def test_each_picture_that_cannot_serve_says_why(run: Run, pictures: Pictures, faces: Faces) -> None:
    face = faces["astronaut"]
    both = np.concatenate([moved(face, scale=1.5)[:600], moved(faces["admiral"])[:600]], axis=1)
    done = run(
        pictures(
            astronaut={
                "blurred.png": cv2.GaussianBlur(moved(face, scale=1.4), (0, 0), 8),
                "broken.jpg": b"\xff\xd8\xff not a picture",
                "dark.png": moved(face, scale=1.4, light=0.2),
                "empty.png": b"",
                "good.png": moved(face, scale=1.4),
                "nobody.png": np.full((480, 640, 3), 127, dtype=np.uint8),
                "notes.txt": b"not looked at",
                "small.png": moved(face, scale=0.8),
                "telephone.HEIC": b"not read by this version",
                "tiny.png": moved(face, scale=0.3),
                "two.png": np.asarray(both, dtype=np.uint8),
            }
        )
    )["astronaut"]
    assert done.refused is None
    assert done.warnings == (
        "only 1 picture(s) serve; with 3 the gate knows a person better at once",
        "not looked at: 'notes.txt', 'telephone.HEIC'; a picture's name ends in one of .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp",
    )
    found = reasons(done)
    assert found.pop("good.png") is None
    begin = {name: (reason or "")[:18] for name, reason in found.items()}
    assert begin == {
        "blurred.png": "it is blurred; hol",
        "broken.jpg": "the file is no pic",
        "dark.png": "it is too dark; li",
        "empty.png": "the file is no pic",
        "nobody.png": "no face is found; ",
        "small.png": "the face is too sm",
        "tiny.png": "the face is too sm",
        "two.png": "several faces; cro",
    }


def test_a_passport_crop_serves_and_a_face_without_its_mouth_does_not(run: Run, pictures: Pictures, faces: Faces, sampler: Sampler) -> None:
    face = moved(faces["astronaut"], scale=1.5)
    (sample,) = sampler.sample_faces(face)
    eyes, mouth = sample.landmarks[:2].mean(axis=0), sample.landmarks[3:].mean(axis=0)
    (x, y), reach = ((eyes + mouth) / 2).astype(int).tolist(), int(1.15 * sample.quality.eye_distance_px)
    crop = np.ascontiguousarray(face[y - reach : y + reach, x - reach : x + reach])
    below = int(mouth[1])
    done = run(pictures(astronaut={"crop.png": crop, "no-mouth.png": np.ascontiguousarray(face[:below])}))["astronaut"]
    found = reasons(done)
    assert found.pop("crop.png") is None
    assert (found["no-mouth.png"] or "")[:19] in ("the face is cut off", "no face is found; t")


def test_a_person_without_a_good_picture_is_refused_and_not_kept(authority: Authority, run: Run, pictures: Pictures) -> None:
    done = run(pictures(nobody={"grey.png": np.full((480, 640, 3), 90, dtype=np.uint8)}, none={}))
    assert {name: (each.refused or "")[:17] for name, each in done.items()} == {"nobody": "no picture serves", "none": "no picture serves"}
    assert authority.register.people() == ()


def test_the_same_face_under_two_names_is_refused(authority: Authority, run: Run, pictures: Pictures, faces: Faces) -> None:
    folder = pictures(astronaut=three(faces["astronaut"]), impostor={"x.png": moved(faces["astronaut"], scale=1.3, x=3)})
    done = run(folder)
    assert done["astronaut"].refused is None
    assert (done["impostor"].refused or "").startswith("the same face is enrolled as 'astronaut'")
    assert [person.id for person in authority.register.people()] == ["astronaut"]

    (folder / "impostor" / "person.toml").write_text('lookalike_of = ["astronaut"]')
    again = run(folder)["impostor"]
    assert again.refused is None
    assert again.warnings[0].startswith("looks like 'astronaut'")


def test_a_look_alike_is_named_where_nobody_has_said_that_they_are_two(run: Run, pictures: Pictures, faces: Faces) -> None:
    folder = pictures(astronaut=three(faces["astronaut"]), twin={"x.png": moved(faces["astronaut"], scale=1.3, x=3)})
    (folder / "twin" / "person.toml").write_text('lookalike_of = ["astronaut"]')
    twin = run(folder)["twin"]
    assert (twin.refused, twin.alike) == (None, ())
    assert "who is somebody else" in twin.warnings[0]


def test_another_face_under_a_name_that_is_taken_is_refused(authority: Authority, run: Run, pictures: Pictures, faces: Faces) -> None:
    folder = pictures(ada=three(faces["astronaut"]))
    assert run(folder)["ada"].replaced == 0
    assert run(folder)["ada"].replaced == 3
    pictures(ada=three(faces["admiral"]))
    refused = run(folder)["ada"].refused or ""
    assert refused.startswith("another face is enrolled under this name")
    assert "gate-roster remove ada" in refused
    assert authority.register.person("ada").revision == 2


def test_a_copy_of_a_picture_is_no_second_picture(run: Run, pictures: Pictures, faces: Faces) -> None:
    face = moved(faces["astronaut"], scale=1.3)
    done = run(pictures(ada={"1.png": face, "2.png": face, "3.png": face, "4.png": moved(faces["astronaut"], wide=1.25, scale=1.2)}))["ada"]
    assert reasons(done) == {
        "1.png": None,
        "2.png": "the same shot as '1.png'; take another one",
        "3.png": "the same shot as '1.png'; take another one",
        "4.png": None,
    }


def test_one_shot_saved_again_resized_and_turned_is_one_picture(run: Run, pictures: Pictures, faces: Faces) -> None:
    shot = moved(faces["astronaut"], scale=1.3)
    saved = {f"{quality}.jpg": cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes() for quality in (95, 90, 85)}
    turned = moved(np.ascontiguousarray(faces["astronaut"][:, ::-1]), scale=1.4, light=0.9)
    done = run(pictures(ada={"0.png": shot, "turned.png": turned, **saved}))["ada"]
    assert done.references == 1
    assert {name: reason for name, reason in reasons(done).items() if name != "0.png"} == dict.fromkeys(
        ("85.jpg", "90.jpg", "95.jpg", "turned.png"), "the same shot as '0.png'; take another one"
    )


def test_pictures_of_two_people_in_one_folder_are_nobody(authority: Authority, run: Run, pictures: Pictures, faces: Faces) -> None:
    admiral = {f"raj{name}": picture for name, picture in three(faces["admiral"]).items()}
    folder = pictures(visitor={**{f"amy{name}": picture for name, picture in three(faces["astronaut"]).items()}, **admiral})
    done = run(folder)["visitor"]
    refused = done.refused or ""
    assert refused.startswith(
        "the pictures look like 2 people (group 1: amy1.png, amy2.png, amy3.jpg; group 2: raj1.png, raj2.png, raj3.jpg); take out what is"
    )
    assert f'write same_person = ["amy1.png", "raj1.png"] in {folder / "visitor" / "person.toml"}' in refused
    assert reasons(done)["raj2.png"] == "of group 2, unlike the others"
    assert authority.register.people() == ()


def test_an_operator_who_has_looked_can_say_that_it_is_one_person(run: Run, pictures: Pictures, faces: Faces) -> None:
    others = {"4.png": moved(faces["admiral"], scale=1.2), "5.png": moved(faces["admiral"], scale=1.2, wide=1.25)}
    said = b'same_person = ["1.png", "4.png", "ghost.png"]'
    done = run(pictures(ada={**three(faces["astronaut"]), **others, "person.toml": said}))["ada"]
    assert (done.refused, done.references) == (None, 5)
    assert done.warnings == ("same_person names 'ghost.png', which is no picture here",)


def test_another_persons_picture_among_ones_own_is_refused(run: Run, pictures: Pictures, faces: Faces) -> None:
    done = run(pictures(astronaut={**three(faces["astronaut"]), "4.png": moved(faces["admiral"], scale=1.2)}))["astronaut"]
    assert (done.refused, done.references) == (None, 3)
    assert (reasons(done)["4.png"] or "").startswith("unlike the person's other pictures")


def test_of_two_pictures_of_two_people_nobody_knows_which_is_right(run: Run, pictures: Pictures, faces: Faces) -> None:
    done = run(pictures(who={"1.png": moved(faces["astronaut"], scale=1.2), "2.png": moved(faces["admiral"], scale=1.2)}))["who"]
    assert (done.refused or "").startswith("the pictures look like 2 people (group 1: 1.png; group 2: 2.png)")
    assert reasons(done) == {"1.png": "of group 1, unlike the others", "2.png": "of group 2, unlike the others"}


def test_a_refusal_says_that_what_was_enrolled_before_stays(authority: Authority, run: Run, pictures: Pictures, faces: Faces) -> None:
    folder = pictures(ada=three(faces["astronaut"]))
    assert run(folder)["ada"].warnings == ()
    (folder / "ada" / "person.toml").write_text('valid_until = "2026-09-30"\nlevels = ["vip"]')
    assert run(folder)["ada"].warnings == (
        "what was enrolled before stays in force (active, until 2027-09-20); to end it: gate-roster suspend ada",
    )
    assert authority.register.person("ada").revision == 1


def test_what_cannot_be_read_ends_neither_the_person_nor_the_enrolment(run: Run, pictures: Pictures, faces: Faces) -> None:
    folder = pictures(ada=three(faces["astronaut"]), bob={}, zoe={"1.png": moved(faces["admiral"], scale=1.2)})
    os.mkfifo(folder / "ada" / "pipe.png")
    (folder / "ada" / "zero.png").symlink_to("/dev/zero")
    (folder / "ada" / "folder.png").mkdir()
    (folder / "ada" / "large.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((200, 18_000, 3), np.uint8))[1].tobytes())
    (folder / "ada" / "huge.png").write_bytes(one_bit_png(32_000, 32_000))
    os.mkfifo(folder / "bob" / "person.toml")
    done = run(folder)
    assert {name: (each.refused or "")[-50:] for name, each in done.items()} == {
        "ada": "",
        "bob": "person.toml: cannot be read (it is not a regular file)"[-50:],
        "zoe": "",
    }
    assert {name: reason for name, reason in reasons(done["ada"]).items() if reason} == {
        "folder.png": "the file cannot be read (it is not a regular file)",
        "huge.png": "32000x32000 pixels are too many; save it with at most 268 million",
        "large.jpg": "no face is found; the face must be large and look ahead",
        "pipe.png": "the file cannot be read (it is not a regular file)",
        "zero.png": "the file cannot be read (it is not a regular file)",
    }


def test_a_person_whose_last_day_is_past_is_enrolled_with_a_word(run: Run, pictures: Pictures, faces: Faces) -> None:
    text = b'valid_from = "2026-09-01"\nvalid_until = "2026-09-20"'
    done = run(pictures(ada={**three(faces["astronaut"]), "person.toml": text}))["ada"]
    assert done.warnings == ("no gate lets them through: the last day was 2026-09-20; see valid_until in person.toml",)


def test_enrolling_again_replaces_the_references_and_raises_the_revision(
    authority: Authority, run: Run, pictures: Pictures, faces: Faces
) -> None:
    folder = pictures(astronaut=three(faces["astronaut"]))
    run(folder)
    authority.set_status("astronaut", PersonStatus.SUSPENDED, now_s=NOW_S)
    done = run(folder)["astronaut"]
    person = authority.register.person("astronaut")
    assert (person.revision, person.status, len(person.quality)) == (3, PersonStatus.SUSPENDED, 3)
    assert done.warnings == ("is suspended and stays so; see: gate-roster resume",)


def test_a_persons_file_sets_levels_dates_and_group(authority: Authority, run: Run, pictures: Pictures, faces: Faces) -> None:
    text = b'valid_from = "2026-10-01"\nvalid_until = "2026-10-01"\ngroup = "b"\nlevels = ["always"]\n'
    run(pictures(astronaut={**three(faces["astronaut"]), "person.toml": text}))
    person = authority.register.person("astronaut")
    midnight_s = 1_790_784_000  # 2026-10-01T00:00 at UTC+8
    assert (person.not_before_s, person.not_after_s) == (midnight_s, midnight_s + 86_400)
    assert (person.levels, person.group) == (("always",), "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'levels = ["vip"]', "'levels' names 'vip'"),
        (b'valid_from = "yesterday"', "'valid_from' is 'yesterday'"),
        (b'valid_from = "2026-10-02"\nvalid_until = "2026-10-01"', "is before 'valid_from'"),
        (b'valid_from = "0001-01-01"', "the year must be 2000 to 9999"),
        (b'group = "x\\ny"', "holds the control character"),
        (b'group = "x\xe2\x80\xa8y"', "use letters that can be printed"),
        (b"vip = true", "unknown key 'vip'"),
        (b"\xff\xfe", "is not TOML"),
    ],
)
def test_a_wrong_persons_file_refuses_the_person(
    *, authority: Authority, run: Run, pictures: Pictures, faces: Faces, text: bytes, words: str
) -> None:
    done = run(pictures(astronaut={"1.png": faces["astronaut"], "person.toml": text}))["astronaut"]
    assert words in (done.refused or "")
    assert authority.register.people() == ()


def test_a_folders_name_that_is_no_identifier_refuses_the_person(run: Run, pictures: Pictures, faces: Faces) -> None:
    done = run(pictures(**{"Ada Lovelace": three(faces["astronaut"])}))["Ada Lovelace"]
    assert (done.refused or "").startswith("the folder's name is no identifier")
