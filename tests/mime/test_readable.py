"""Text made from HTML reads as its writer meant it."""

import pytest

from shared.mime.markup import sanitise
from shared.mime.readable import readable
from shared.mime.reading import Reading


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("One<br>Two<br><br>Three", "One\nTwo\n\nThree"),
        ("  much \n\t white   space&nbsp; here ", "much white space here"),
        ("<ul><li>a<ul><li><p>b</p></li></ul></li><li>c</li></ul>", "- a\n\n  - b\n\n- c"),
        ("<ol start=4><li>a</li><li>b</li></ol>", "4. a\n5. b"),
        ("<blockquote>q<blockquote><p>r</p></blockquote></blockquote>after", "> q\n>\n> > r\n\nafter"),
        ("<table><tr><td>a</td><td></td><td>b</td></tr><tr><td>c</td></tr></table>", "a | b\nc"),
        ("<pre>  x\n    y</pre>", "  x\n    y"),
        ("above<hr>below", "above\n--------------------\nbelow"),
        ('<a href="https://x.example/y">here</a>', "here <https://x.example/y>"),
        ('<a href="https://x.example/">x.example</a>', "x.example"),
        ('<a href="mailto:a@x.example">a@x.example</a>', "a@x.example"),
        ('<a href="https://x.example"><img src="cid:l" alt=""></a>', "<https://x.example>"),
        ('<img src="cid:l" alt="Logo"> Ltd', "[Logo] Ltd"),
        ("5 &lt; 6 &amp; 7 <3", "5 < 6 & 7 <3"),
        ("<b>bold<p>still</b> plain</p>", "bold\n\nstill plain"),
        ("a</div></td>b", "ab"),
        ("<title>t</title><style>s</style><script>c</script>text", "text"),
    ],
)
def test_html_reads_well(html: str, text: str) -> None:
    """Paragraphs, lists, quotations, tables, links and pictures become lines of text."""
    assert readable(sanitise(html, Reading())) == text
