"""How much of one message is looked at, so that no bytes whatever cost more than a few seconds or a few copies of them.

Whatever a limit cuts from the body is still there: the whole original is then kept as an attachment.
"""

from typing import Final

#: Octets of one header block, and its fields; what comes after is not read.
HEADER_BYTES: Final = 256 * 1024
HEADER_FIELDS: Final = 1_000
#: Characters of one decoded field that are kept.
FIELD_CHARS: Final = 16_384
#: Octets and parameters of a Content-* field: they cost more than linear time in the standard library.
PARAMETER_BYTES: Final = 8_192
PARAMETERS: Final = 100
SUBJECT_CHARS: Final = 1_000
#: Addresses of one field (To, Cc, ...), and characters of one (RFC 5321 section 4.5.3.1 allows 64 + 1 + 255).
ADDRESSES: Final = 1_000
ADDRESS_CHARS: Final = 320
#: Recipients of one report.
REPORTED: Final = 100
#: Message-IDs of one field, and characters of one (a line of RFC 5322 section 2.1.1).
MESSAGE_IDS: Final = 100
MESSAGE_ID_CHARS: Final = 998
#: Multiparts within multiparts, parts altogether, and lines that look like a boundary altogether.
DEPTH: Final = 30
PARTS: Final = 1_000
BOUNDARY_LINES: Final = 100_000
ATTACHMENTS: Final = 500
#: Octets of a file name in UTF-8; common file systems allow 255.
NAME_BYTES: Final = 200
#: Characters of text and of HTML, over all parts; and octets of one part that are decoded to get them.
TEXT_CHARS: Final = 1_000_000
HTML_CHARS: Final = 1_000_000
TEXT_OCTETS: Final = 4_000_000
#: Octets of Rich Text that are read, over all parts: it is some three times as long as the HTML in it.
RTF_OCTETS: Final = 2_000_000
#: Messages within messages of a form that has to be unpacked (winmail.dat, opaque S/MIME).
UNPACKED_DEPTH: Final = 4
#: Lines of a text in which files are looked for; as many as 30 MB of uuencode have.
LINES_WITH_FILES: Final = 500_000
#: Octets that compressed S/MIME may unpack to, over all parts.
INFLATED_OCTETS: Final = 20_000_000
#: Ampersands in the HTML of one part: an HTML parser's time is quadratic in those that stand side by side.
AMPERSANDS: Final = 200_000
#: Elements within elements: an HTML parser's time is the product of this and the number of elements.
HTML_DEPTH: Final = 200
DEFECTS: Final = 50
