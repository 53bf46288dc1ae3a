"""Tables of images in the dialects people write; what cannot be used is refused in one sentence, soon."""

import csv
import io
import os
import resource
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitrail.data.sources import Source, open_source
from vitrail.errors import DataError

ROWS = [("a/1.png", "cat"), ("a/2.png", "dog"), ("b/3.jpg", "cat"), ("b/4.JPG", "dog")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with four files."""
    for name, _ in ROWS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def opened(root: Path, text: str | bytes, name: str = "list.csv", **options) -> Source:
    table = root / name
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source(table, **{"validation_share": 0.0, **options})


def opened_or_refused(root: Path, content: bytes) -> tuple[Source | None, str]:
    try:
        return opened(root, content), ""
    except DataError as error:
        return None, str(error)


def found(source: Source) -> list[tuple[str, str]]:
    images = source.train
    return list(zip(images.names, [source.class_names[label] for label in images.labels], strict=True))


def table(file: str = "file", label: str = "label", delimiter: str = ",", rows: list = ROWS) -> str:
    return "\n".join(delimiter.join(row) for row in [(file, label), *rows]) + "\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_encodings_and_line_ends(root: Path, delimiter: str, encoding: str, end: str):
    rows = [("a/1.png", "café"), ("a/2.png", "tea")]
    text = table(delimiter=delimiter, rows=rows).replace("\n", end)
    name = "list.tsv" if delimiter == "\t" else "list.csv"
    source = opened(root, text.encode(encoding), name)
    assert found(source) == rows
    assert source.notes == ((f"{name} is not UTF-8; read as Windows-1252.",) if encoding == "cp1252" else ())


FILES = "file File FILE file_name filename FileName image IMAGE image_id ImageId path filepath filepaths file_path"
LABELS = "label labels Labels ClassId class Class CLASS classes class_name category Category target"


@pytest.mark.parametrize("file", [*FILES.split(" "), "image_path", "image_name", "img", "id", "file name", " file "])
def test_columns_by_their_usual_names(root: Path, file: str):
    for label in LABELS.split(" "):
        assert found(opened(root, table(file, label))) == ROWS


def test_a_table_without_a_heading_is_refused_and_does_not_lose_its_first_image(root: Path):
    with pytest.raises(DataError, match=r"has no heading: its first line names the image 'a/1.png'.*'file,label'"):
        opened(root, table().split("\n", 1)[1])


@pytest.mark.parametrize("sides", ["xmin,ymin,xmax,ymax", "x_min,x_max,y_min,y_max", "XMin,YMin,XMax,YMax"])
def test_a_table_of_boxes_is_no_table_of_classes(root: Path, sides: str):
    text = f"filename,class,{sides}\n" + "".join(f"{f},{c},0,0,1,1\n" for f, c in ROWS)
    with pytest.raises(DataError, match=r"table of boxes .*--task detect"):
        opened(root, text)
    assert len(opened(root, text, labels=False).train) == len(ROWS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_line_for_excel_above_the_heading_says_what_parts_the_columns(root: Path, delimiter: str):
    text = f"sep={delimiter}\n" + table(delimiter=delimiter)
    assert found(opened(root, text)) == ROWS
    with pytest.raises(DataError, match="line 7"):
        opened(root, f"{text}none.png{delimiter}cat\n")


def test_a_blank_before_a_quote_is_no_part_of_a_class(root: Path):
    assert found(opened(root, table(rows=[(f, f' "{c}"') for f, c in ROWS]))) == ROWS


@pytest.mark.parametrize("names", [("Cat", "cat"), ("1", "1.0"), ("New York", "new york")])
def test_classes_that_are_probably_one_are_named(root: Path, names: tuple[str, str]):
    source = opened(root, table(rows=[(f, names[c == "dog"]) for f, c in ROWS]))
    assert any(f"{names[0]!r}, {names[1]!r} are learned as 2" in warning for warning in source.warnings)
    assert not opened(root, table(rows=[(f, "aA"[c == "dog"]) for f, c in ROWS])).warnings


def test_a_single_column_of_texts_is_taken_for_the_classes(root: Path):
    text = "id,breed,age,url\n" + "".join(f"{f},{c},{n},http://{n}\n" for n, (f, c) in enumerate(ROWS))
    source = opened(root, text)
    assert found(source) == ROWS
    assert source.notes == ("The column 'breed' is taken for the classes.",)


def test_a_column_of_files_is_found_by_what_it_holds(root: Path):
    assert found(opened(root, table("Foto", "label"))) == ROWS


def test_columns_that_are_missing_or_may_be_several_are_refused_with_the_accepted_spellings(root: Path):
    text = "file,breed,colour\na/1.png,x,red\na/2.png,x,blue\nb/3.jpg,y,red\n"
    with pytest.raises(DataError, match=r"needs a column 'label'; .* accepted, in any case, are label, .*category"):
        opened(root, text)
    with pytest.raises(DataError, match=r"needs a column 'file'; .* accepted.* filepaths.* image_id"):
        opened(root, "x,y\n1,2\n1,3\n")


def test_backslashes_missing_suffixes_and_folders_below(root: Path):
    assert found(opened(root, table(rows=[(f.replace("/", "\\"), c) for f, c in ROWS]))) == ROWS
    source = opened(root, table("image_id", rows=[(Path(f).stem, c) for f, c in ROWS]))
    assert found(source) == ROWS
    assert source.notes == (
        "Files were found in 'a', 'b', below the folder of the table.",
        "Files are named without their suffix (.JPG, .jpg, .png).",
    )
    assert found(opened(root, table(rows=[(os.path.splitext(f)[0], c) for f, c in ROWS]))) == ROWS  # noqa: PTH122
    assert found(opened(root, table(rows=[(f"./{f}", c) for f, c in ROWS])))[0][1] == "cat"


def test_a_name_in_two_folders_below_is_refused_unless_the_table_is_called_as_one_of_them(root: Path):
    for folder in ("train_images", "test_images"):
        (root / folder).mkdir()
        (root / folder / "x.png").touch()
    with pytest.raises(DataError, match=r"line 2: 'x' may be 'test_images/x.png', 'train_images/x.png'"):
        opened(root, table("image_id", rows=[("x", "cat"), ("1", "dog")]))
    source = opened(root, table("image_id", rows=[("x", "cat"), ("1", "dog")]), "train.csv")
    assert source.train.names == ("train_images/x.png", "a/1.png")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_in_composed_or_decomposed_letters_is_found(root: Path, form: str):
    (root / unicodedata.normalize("NFC", "é.png")).touch()
    (root / unicodedata.normalize("NFD", "ö.png")).touch()
    rows = [(unicodedata.normalize(form, name), name[0]) for name in ("é.png", "ö.png")]
    assert len(opened(root, table(rows=rows)).train) == 2


def test_a_name_that_is_not_utf8_is_found_by_its_bytes(root: Path):
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.png")).touch()
    source = opened(root, b"file,label\ncaf\xe9.png,th\xe9\na/1.png,cat\n")
    assert os.fsencode(source.train.names[0]) == b"caf\xe9.png"
    assert source.class_names == ("cat", "thé")


SPLIT_CELLS = {
    "split": ["train", "val", "test", ""],
    "Split": ["TRAIN", "Valid", "holdout", ""],
    "is_valid": ["False", "True", "0", "1"],
    "is_test": ["no", "yes", "", "TRUE"],
    "subset": ["Training", "dev", "testing", "train"],
}


@pytest.mark.parametrize("column", SPLIT_CELLS)
def test_splits_by_a_column_of_words_or_of_true_and_false(root: Path, column: str):
    cells = SPLIT_CELLS[column]
    lines = [f"{file},same,{cell}" for (file, _), cell in zip(ROWS, cells, strict=True)]
    source = opened(root, f"file,label,{column}\n" + "\n".join(lines), for_evaluation=True)
    sizes = tuple(len(part) if part else 0 for part in (source.train, source.validation, source.test))
    assert sizes == {"is_valid": (2, 2, 0), "is_test": (2, 0, 2)}.get(column, (2, 1, 1))


def test_a_column_that_only_sounds_like_splits_is_left_alone(root: Path):
    lines = [f"{f},{c},{n}" for n, (f, c) in enumerate(ROWS)]
    assert found(opened(root, "file,label,set\n" + "\n".join(lines))) == ROWS


def test_duplicate_rows_count_once_and_are_said(root: Path):
    source = opened(root, table(rows=[*ROWS, ROWS[1], ROWS[1], ROWS[0]]))
    assert found(source) == ROWS
    assert source.notes == ("3 rows repeat another one; each image is used once.",)


def test_one_file_with_two_classes_or_in_two_splits_is_refused(root: Path):
    with pytest.raises(
        DataError, match=r"1\.png has two classes, 'cat' \(line 2\) and 'dog' \(line 6\), and 1 more row"
    ):
        opened(root, table(rows=[*ROWS, ("a/1.png", "dog"), ("a/2.png", "cat")]))
    text = "file,label,split\na/1.png,cat,train\na/2.png,dog,train\na/1.png,cat,test\n"
    with pytest.raises(DataError, match=r"1\.png is in two splits, train \(line 2\) and test \(line 4\)"):
        opened(root, text)
    assert len(opened(root, table(rows=[*ROWS, ("a/1.png", "dog")]), labels=False).train) == 4


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
REFUSED = {
    b"": "needs a column 'file'; its columns are missing",
    b"\n\n  \n": "needs a column 'file'",
    b"file,label\n": "no rows below its heading",
    PNG: "it holds zero bytes, as binary files do",
    b"PK\x03\x04" + bytes(100): "zero bytes",
    b"file,label\na/1.png,cat\n\0\0,dog\n": "zero bytes",
    b"file,label\n" + b"x" * 200_000 + b",dog\n": "is not a CSV file in UTF-8|there is no file",
    b'file,label\n"' + b"a,b\n" * 100_000: "is not a CSV file in UTF-8",
    b"file,label\na/1.png," + b"c" * 5000 + b"\n": r"line 2: the column 'label' holds a text of 5,000 characters",
    b"file,label\na/1.png,Smith, John\n": "line 2: 3 cells for 2 columns",
    b"file,label\na/1.png\n": "line 2: the column 'label' is empty",
    b"file,label\n,cat\n": "line 2: no file is named",
    b"file,label\na,cat\n": "line 2: there is no file .*a",
    b"file,label\n../../../../etc/nothing.png,cat\n": "there is no file",
    b"\xff\xfef\0i\0l\0e\0,\0": "is not a CSV file|needs a column",
    bytes(range(1, 256)) * 20: "needs a column 'file'|is not a CSV file",
    ("," * 100_000).encode(): "needs a column 'file'",
}


@pytest.mark.parametrize("content", REFUSED, ids=lambda content: repr(content[:20]))
def test_a_file_that_is_no_table_is_refused_in_one_sentence(root: Path, content: bytes):
    with pytest.raises(DataError, match=REFUSED[content]) as caught:
        opened(root, content)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert str(caught.value).isprintable()


def test_places_that_are_no_file_are_refused_in_one_sentence(root: Path):
    (root / "folder.csv").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_source(root / "folder.csv")
    os.mkfifo(root / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe\.csv"):
        open_source(root / "pipe.csv")
    (root / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(DataError, match="there is no folder or CSV file"):
        open_source(root / "loop.csv")
    with pytest.raises(DataError, match=r"cannot be the path of a file \(File name too long\)"):
        open_source(root / ("x" * 300 + ".csv"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["repeated", "missing", "binary", "one line", "one quote", "latin"])
def test_a_hundred_megabytes_take_seconds_and_little_memory(root: Path, kind: str):
    size = 100_000_000
    content = {
        "repeated": b"file,label\n" + b"a/1.png,cat\na/2.png,dog\n" * (size // 24),
        "missing": b"file,label\na/1.png,cat\n" + b"a/9.png,cat\n" * (size // 12),
        "binary": os.urandom(1 << 20) * 100,
        "one line": b"file,label\n" + b"x" * size,
        "one quote": b'file,label\n"' + b"x,y\n" * (size // 4),
        "latin": b"file,label\n" + b"a/1.png,caf\xe9\na/2.png,dog\n" * (size // 25),
    }[kind]
    began = time.process_time()
    if kind in ("repeated", "latin"):
        assert len(opened(root, content).train) == 2
    else:
        with pytest.raises(DataError):
            opened(root, content)
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2_000_000


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(ROWS), CELLS), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["file", "File_Name", "image_id"]),
    st.sampled_from(["note", "comment"]),
)
def test_any_dialect_gives_the_same_images(root: Path, rows, delimiter, quoting, encoding, file, note):
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting)
    writer.writerows([(file, note, "label"), *((name, text, label) for (name, label), text in rows)])
    source = opened(root, written.getvalue().encode(encoding), for_evaluation=True)
    assert found(source) == list(dict.fromkeys(row for row, _ in rows))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.lists(st.lists(CELLS, max_size=4), max_size=6)))
def test_any_bytes_are_a_table_or_refused_in_one_sentence(root: Path, content):
    if isinstance(content, list):
        content = "\n".join(",".join(row) for row in [["file", "label"], *content]).encode()
    _, refusal = opened_or_refused(root, content)
    assert "\n" not in refusal
