"""Forms and files of Python Workers, as at Cloudflare."""

from __future__ import annotations

import pytest

from workers import Blob, File, FormData, Request, Response


async def test_form_data_goes_both_ways() -> None:
    """A form with text and files is read as it was written, names and types included."""
    form = FormData({"key": "foobar"})
    form.append("key", "another\r\nline")
    form.append('quo"te\r\n', "\u00e9")
    form["file"] = File(b"print(42)\r\n--", 'na"me.py', content_type="text/python")
    form.append("blob", Blob([b"\x00\xff"]))
    read = await Response(form).form_data()
    assert [(name, value) for name, value in read.items() if isinstance(value, str)] == [
        ("key", "foobar"),
        ("key", "another\r\nline"),
        ("quo%22te%0D%0A", "\u00e9"),
    ]
    file, blob = read["file"], read["blob"]
    assert isinstance(file, File)
    assert isinstance(blob, File)
    assert (file.content_type, await file.text()) == ("text/python", "print(42)\r\n--")
    assert (blob.name, await blob.bytes()) == ("blob", b"\x00\xff")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, "a=b"),
        ("text/plain", "a=b"),
        ("multipart/form-data", "--x"),
        ("multipart/form-data; boundary=x", "no boundary"),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Type: a/b\r\n\r\nv\r\n--x--\r\n"),
        ("application/x-www-form-urlencoded", "&".join(["a=b"] * 10_001)),
    ],
)
async def test_what_is_no_form_is_refused(content_type: str | None, body: str) -> None:
    """A body that is no form, or a form of too much, is a TypeError."""
    headers = {} if content_type is None else {"content-type": content_type}
    request = Request("http://a.test", method="POST", body=body.encode(), headers=headers)
    with pytest.raises(TypeError):
        await request.form_data()


def test_form_data_is_a_mapping_with_repeats() -> None:
    """The first value of a name is its item, all of them are listed."""
    form = FormData({"a": "1"})
    form.append("b", "2")
    form.append("a", "3")
    assert (form["a"], form.get_all("a"), list(form), len(form)) == (
        "1",
        ["1", "3"],
        ["a", "b", "a"],
        3,
    )
    form["a"] = "4"
    assert list(form.items()) == [("a", "4"), ("b", "2")]
    del form["a"]
    assert "a" not in form
    assert form.get("a") is None
    with pytest.raises(TypeError):
        FormData("a=b")


async def test_blobs_and_files() -> None:
    """Parts join, types are inherited from a single Blob, slices are Blobs."""
    blob = Blob(["te", Blob(["st"])], content_type="application/json")
    assert (blob.size, await blob.text(), await blob.slice(1, 3).text()) == (4, "test", "es")
    assert Blob(blob).content_type == "application/json"
    assert Blob([blob]).content_type == ""
    assert Blob(blob, content_type="other/type").content_type == "other/type"
    assert await Blob("a\r\nb", endings="native").text() == "a\nb"
    file = File("my file", filename="test.txt", content_type="text/plain", last_modified=7)
    assert (file.name, File(file, "n").last_modified) == ("test.txt", 7)
    with pytest.raises(TypeError, match="handle"):
        Blob([3])
