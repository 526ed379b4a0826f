"""What the tests of charts read in SVG."""

import xml.etree.ElementTree as ET

HOSTILE = "</svg><script>alert(1)</script>\"'&"


def parsed(chart: str) -> ET.Element:
    return ET.fromstring(f"<div>{chart}</div>")


def tips(chart: str) -> list[str]:
    return [each.attrib["data-tip"] for each in parsed(chart).iter() if "data-tip" in each.attrib]
