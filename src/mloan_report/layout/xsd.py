"""The published schema of a record file: XSD from the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree

from mloan_report.layout.definition import CodeList, LayoutField, RecordLayout

XS = "http://www.w3.org/2001/XMLSchema"
_E = f"{{{XS}}}"


def document_schema(layout: RecordLayout, namespace: str, root: str, codes: dict[str, CodeList]) -> bytes:
    """The XSD of a document of *root* holding one or more records, each field exactly once in any order."""
    schema = etree.Element(f"{_E}schema", nsmap={"xs": XS})
    schema.set("targetNamespace", namespace)
    schema.set("elementFormDefault", "qualified")
    top = _sub(schema, "element", name=root)
    sequence = _sub(_sub(top, "complexType"), "sequence")
    record = _sub(sequence, "element", name=layout.root, minOccurs="1", maxOccurs="unbounded")
    everything = _sub(_sub(record, "complexType"), "all")
    for field in layout.value_fields:
        _element(everything, field, codes)
    return etree.tostring(schema, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def line_schema(layout: RecordLayout, root: str, codes: dict[str, CodeList]) -> bytes:
    """The XSD of one line: *root* with one record; segments in order, each at most once; items in order."""
    schema = etree.Element(f"{_E}schema", nsmap={"xs": XS})
    schema.set("elementFormDefault", "unqualified")
    top = _sub(schema, "element", name=root)
    record = _sub(_sub(_sub(top, "complexType"), "sequence"), "element", name=layout.root)
    sequence = _sub(_sub(record, "complexType"), "sequence")
    for segment in layout.segments:
        always = "1" if segment.required == "M" else "0"
        inside = _sub(_sub(_sub(sequence, "element", name=segment.name, minOccurs=always), "complexType"), "sequence")
        for field in layout.fields:
            if field.segment != segment.name:
                continue
            if field.type == "group":
                group = _sub(_sub(_sub(inside, "element", name=field.name, maxOccurs="unbounded"), "complexType"), "sequence")
                for item in layout.fields:
                    if item.segment == f"{segment.name}/{field.name}[]":
                        _element(group, item, codes)
            else:
                _element(inside, field, codes)
    return etree.tostring(schema, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def attributes_schema(layouts: Sequence[RecordLayout], codes: dict[str, CodeList]) -> bytes:
    """The XSD of a document whose values are all attributes: elements in elements, children in their order."""
    schema = etree.Element(f"{_E}schema", nsmap={"xs": XS})
    root = next(x for x in layouts if x.place == "root")
    _with_attributes(schema, root, layouts, codes)
    return etree.tostring(schema, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _with_attributes(parent: Any, layout: RecordLayout, layouts: Sequence[RecordLayout], codes: dict[str, CodeList]) -> None:
    many = {} if layout.place == "root" else {"minOccurs": str(layout.least), "maxOccurs": "unbounded" if layout.many else "1"}
    inside = _sub(_sub(parent, "element", name=layout.root, **many), "complexType")
    children = [x for x in layouts if x.parent == layout.name or (layout.place == "root" and x.place == "body" and x.parent is None)]
    if children:
        sequence = _sub(inside, "sequence")
        for child in children:
            _with_attributes(sequence, child, layouts, codes)
    for field in layout.value_fields:
        attribute = _sub(inside, "attribute", name=field.name, use="required" if field.required == "M" else "optional")
        note = _sub(_sub(attribute, "annotation"), "documentation")
        note.text = f"{field.title_local} ({field.title_en})" if field.title_local else field.title_en
        _attribute_type(_sub(attribute, "simpleType"), field, codes)


def _attribute_type(simple: Any, field: LayoutField, codes: dict[str, CodeList]) -> None:
    if field.type == "date":
        _sub(simple, "restriction", base="xs:date")
    elif field.type == "month":
        _sub(_sub(simple, "restriction", base="xs:string"), "pattern", value="[0-9]{4}-(0[1-9]|1[0-2])")
    elif field.is_number:
        out = _sub(simple, "restriction", base="xs:decimal")
        _sub(out, "totalDigits", value=str(field.length or 18))
        _sub(out, "fractionDigits", value=str(field.scale))
        if field.minimum:
            _sub(out, "minInclusive", value=field.minimum)
        if field.maximum:
            _sub(out, "maxInclusive", value=field.maximum)
    else:
        out = _sub(simple, "restriction", base="xs:string")
        _sub(out, "minLength", value=str(field.min_length or 1))
        if field.length:
            _sub(out, "maxLength", value=str(field.length))
        if field.type == "digits":
            _sub(out, "pattern", value="[0-9]*")
        elif field.pattern:
            _sub(out, "pattern", value=field.pattern)
        if field.listed and len(field.codes) == 1:
            for code in codes[field.codes[0]].active:
                _sub(out, "enumeration", value=code)


def _sub(parent: Any, tag: str, **attributes: str) -> Any:
    return etree.SubElement(parent, f"{_E}{tag}", attributes)


def _element(parent: Any, field: LayoutField, codes: dict[str, CodeList]) -> None:
    element = _sub(parent, "element", name=field.name)
    if field.nillable:
        element.set("nillable", "true")
    if field.present:
        element.set("minOccurs", "0")
    note = _sub(_sub(element, "annotation"), "documentation")
    note.text = f"{field.title_local} ({field.title_en})" if field.title_local else field.title_en
    if _may_be_empty_pair(field):
        # An always-present item without a value is an empty pair: the union of its type with the empty text.
        union = _sub(_sub(element, "simpleType"), "union")
        _restriction(_sub(union, "simpleType"), field, codes)
        empty = _sub(_sub(union, "simpleType"), "restriction", base="xs:string")
        _sub(empty, "length", value="0")
    else:
        _restriction(_sub(element, "simpleType"), field, codes)


def _may_be_empty_pair(field: LayoutField) -> bool:
    return bool(field.segment) and field.required != "M"


def _restriction(simple: Any, field: LayoutField, codes: dict[str, CodeList]) -> None:
    if field.type == "date":
        out = _sub(simple, "restriction", base="xs:date")
        _sub(out, "minInclusive", value=field.minimum or "1800-01-01")
        _sub(out, "maxInclusive", value=field.maximum or "9999-12-31")
    elif field.type == "month":
        out = _sub(simple, "restriction", base="xs:string")
        _sub(out, "pattern", value="[0-9]{4}-(0[1-9]|1[0-2])")
    elif field.type in ("amount", "percent", "decimal") and field.scale:
        out = _sub(simple, "restriction", base="xs:decimal")
        _sub(out, "totalDigits", value=str(field.length or 18))
        _sub(out, "fractionDigits", value=str(field.scale))
        if field.maximum:
            _sub(out, "maxInclusive", value=field.maximum)
    elif field.is_number and field.segment:
        out = _sub(simple, "restriction", base="xs:string")
        sign = "-?" if field.minimum is None and field.type == "int" else ""
        _sub(out, "pattern", value=f"{sign}(0|[1-9][0-9]{{0,{(field.length or 15) - 1}}})")
    elif field.is_number:
        out = _sub(simple, "restriction", base="xs:short" if field.type == "short" else "xs:int")
        if field.minimum:
            _sub(out, "minInclusive", value=field.minimum)
        if field.maximum:
            _sub(out, "maxInclusive", value=field.maximum)
    else:
        _text_restriction(simple, field, codes)


def _text_restriction(simple: Any, field: LayoutField, codes: dict[str, CodeList]) -> None:
    out = _sub(simple, "restriction", base="xs:string")
    if field.min_length and field.min_length == field.length:
        _sub(out, "length", value=str(field.length))
    else:
        if field.min_length:
            _sub(out, "minLength", value=str(field.min_length))
        if field.length:
            _sub(out, "maxLength", value=str(field.length))
    if field.type == "digits":
        _sub(out, "pattern", value="[0-9]*")
    elif field.type == "alnum":
        _sub(out, "pattern", value="[0-9A-Za-z]*")
    elif field.pattern:
        _sub(out, "pattern", value=field.pattern)
    if field.listed:
        listed = codes[field.codes[0]]
        for code in listed.active:
            _sub(out, "enumeration", value=code)
        if field.nillable:
            _sub(out, "enumeration", value="")
    if field.collapse:
        _sub(out, "whiteSpace", value="collapse")
