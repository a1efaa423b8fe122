"""What _config.yml asks for is what a reader gets, on every page of the table of contents."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import expect
from pygments.styles import get_style_by_name
from pygments.token import Comment, Keyword, String
from test_pages import CHAPTERS, PAGES, ROOT, SITE

pytestmark = pytest.mark.pages

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
SPHINX = CONFIG["sphinx"]["config"]
THEME = SPHINX["html_theme_options"]
BASE = CONFIG["html"]["baseurl"]
PREFIX = urlsplit(BASE).path
REPOSITORY = CONFIG["repository"]["url"]
HEADER = ".article-header-buttons"
#: Pages that run code, but are written in Markdown, which Colab cannot open.
RUN_MARKDOWN = [
    path
    for path in PAGES
    if (source := ROOT / path.replace(".html", ".md")).exists()
    and "\nkernelspec:" in source.read_text(encoding="utf-8")
]


@cache
def parsed(path: str) -> BeautifulSoup:
    return BeautifulSoup((SITE / path).read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(autouse=True)
def needs_the_book(site):
    """Skipped without a built book, as all page tests are."""


def links(path: str, where: str) -> list[str]:
    return [link["href"] for link in parsed(path).select(f"{where} a[href]")]


def there(path: str, link: str) -> bool:
    """Whether a relative link of a page leads to a file of the site."""
    return (SITE / unquote(urlsplit(urljoin(path, link)).path)).is_file()


# --------------------------------------------------------------------- buttons


@pytest.mark.parametrize("path", CHAPTERS)
def test_a_chapter_opens_in_colab(path):
    colab = [link for link in links(path, HEADER) if "colab" in link]
    notebook = path.replace(".html", ".ipynb")
    owner = urlsplit(REPOSITORY).path.strip("/")
    branch = CONFIG["repository"]["branch"]
    address = CONFIG["launch_buttons"]["colab_url"]
    assert branch == "main" and (ROOT / notebook).is_file()
    assert colab == [f"{address}/github/{owner}/blob/{branch}/{notebook}"]


@pytest.mark.parametrize("path", [path for path in PAGES if path not in CHAPTERS])
def test_what_is_no_notebook_offers_no_colab(new_page, site, path):
    """Seen without JavaScript, too: no script has to take the button away."""
    page = new_page(java_script_enabled=False)
    page.goto(site + path)
    expect(page.locator(HEADER)).to_be_visible()
    button = page.locator(f"{HEADER} .dropdown-launch-buttons")
    assert button.count() <= (path in RUN_MARKDOWN)
    expect(button).to_be_hidden()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leads_to_the_repository_and_to_a_new_issue(path):
    found = links(path, HEADER)
    assert found.count(REPOSITORY) == CONFIG["html"]["use_repository_button"] == 1
    issues = [link for link in found if link.startswith(f"{REPOSITORY}/issues/new?")]
    assert len(issues) == CONFIG["html"]["use_issues_button"] == 1
    assert unquote(issues[0]).split("title=")[1].startswith(f"Issue on page /{path}&")


@pytest.mark.parametrize("path", PAGES)
def test_no_button_of_a_page_leads_nowhere(path):
    """Downloads are files of the site; what leads away is one of the addresses above."""
    own = [link for link in links(path, HEADER) if not urlsplit(link).netloc]
    assert len(own) >= 1  # the page's source
    for link in own:
        assert there(path, link), link
    away = {urlsplit(link).netloc for link in links(path, HEADER)} - {""}
    known = (REPOSITORY, CONFIG["launch_buttons"]["colab_url"])
    assert away <= {urlsplit(address).netloc for address in known}


@pytest.mark.parametrize("width", [1280, 390])
def test_the_buttons_open_by_keyboard_wide_and_narrow(open_page, width):
    page, heard = open_page(CHAPTERS[0])
    page.set_viewport_size({"width": width, "height": 900})
    for group, wanted in (
        ("launch", "colab.research.google.com"),
        ("source", "/issues/new"),
        ("source", f"='{REPOSITORY}'"),
        ("download", ".ipynb"),
    ):
        menu = page.locator(f"{HEADER} .dropdown-{group}-buttons")
        link = menu.locator(f"a[href*='{wanted}']" if "=" not in wanted else f"a[href{wanted}]")
        expect(link).to_be_hidden()
        menu.locator("button").first.focus()
        page.keyboard.press("Enter")
        expect(link).to_be_visible()
        expect(link).to_have_attribute("target", "_blank")
        expect(link).to_be_in_viewport(ratio=1)
        page.keyboard.press("Escape")
        expect(link).to_be_hidden()
    assert heard.console == [] and heard.outside == [] and heard.failed == []


# --------------------------------------------------------------------- frame of a page


@pytest.mark.parametrize("path", PAGES)
def test_the_foot_names_author_year_and_licences(path):
    foot = parsed(path).select_one("footer.bd-footer-content").get_text(" ", strip=True)
    assert CONFIG["author"] in foot and f"© Copyright {CONFIG['copyright']}." in foot
    assert CONFIG["html"]["extra_footer"] in foot


@pytest.mark.parametrize("path", PAGES)
def test_a_page_names_its_place_and_what_it_is(path):
    """For search engines, and for those who send a link to somebody."""
    page = parsed(path)
    heading = page.select_one("article h1, main h1")
    for anchor in heading.select(".headerlink"):
        anchor.extract()
    heading = " ".join(heading.get_text().split())
    title = " ".join(page.title.get_text().split())
    assert heading in title and CONFIG["title"] in title
    assert [link["href"] for link in page.select("link[rel=canonical]")] == [BASE + path]
    told = {m["property"]: m["content"] for m in page.select("meta[property^='og:']")}
    assert told["og:url"] == BASE + path and told["og:site_name"] == SPHINX["ogp_site_name"]
    assert told["og:title"] and heading.startswith(told["og:title"][:20])
    assert len(told["og:description"]) > 40
    described = [m["content"] for m in page.select("meta[name='description']")]
    assert path not in CHAPTERS or described == [told["og:description"]]
    assert not told["og:description"].startswith("Open in Colab")  # a chapter's first link
    assert told["og:image"] == SPHINX["ogp_image"].replace(SPHINX["ogp_site_url"], BASE)
    assert told["og:image:alt"] == SPHINX["ogp_image_alt"]
    assert there("", told["og:image"].removeprefix(BASE))


@pytest.mark.parametrize("path", PAGES)
def test_icon_and_logo_are_there_and_named(path):
    (icon,) = parsed(path).select("link[rel=icon]")
    logos = parsed(path).select(".navbar-brand img")
    assert Path(icon["href"]).name == Path(CONFIG["html"]["favicon"]).name
    assert Path(logos[0]["src"]).name == Path(CONFIG["logo"]).name
    assert CONFIG["title"] in logos[0]["alt"]
    assert there(path, icon["href"]) and there(path, logos[0]["src"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_logo_is_shown_once(open_page, theme):
    page, _ = open_page("book/how-to-read.html", theme)
    shown = page.locator(".bd-sidebar-primary .navbar-brand img:visible")
    expect(shown).to_have_count(1)
    assert shown.evaluate("i => i.decode().then(() => i.naturalWidth)") > 100


@pytest.mark.parametrize("path", PAGES)
def test_the_sidebar_lists_every_page_and_the_front_page_first(path):
    listed = [urldefrag(urljoin(path, link)).url for link in links(path, "nav.bd-links")]
    assert CONFIG["html"]["home_page_in_navbar"] and "home_page_in_toc" not in THEME
    assert list(dict.fromkeys(listed)) == PAGES


def test_contents_of_a_page_show_two_levels(open_page):
    page, _ = open_page(CHAPTERS[1])
    levels = ".bd-sidebar-secondary .page-toc > ul > li > ul"
    assert THEME["show_toc_level"] == 2
    assert page.locator(f"{levels} > li > a").count() > 0
    for link in page.locator(f"{levels} > li > a").all():
        expect(link).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_code_has_the_configured_colours(open_page, theme):
    page, _ = open_page(CHAPTERS[1], theme)
    style = get_style_by_name(THEME[f"pygments_{theme}_style"])
    found = 0
    for kind, token in (("k", Keyword), ("s2", String.Double), ("c1", Comment.Single)):
        span = page.locator(f"div.highlight span.{kind}").first
        if not span.count():
            continue
        wanted = style.style_for_token(token)["color"]
        colour = span.evaluate("s => getComputedStyle(s).color")
        assert "{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", colour))) == wanted.lower()
        found += 1
    assert found >= 2


def test_the_search_field_opens_by_its_keys_and_finds(open_page):
    page, heard = open_page("book/how-to-read.html")
    page.keyboard.press("Control+K")
    field = page.locator(".search-button__search-container input[type=search]")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("placeholder", "Search this book...")
    page.keyboard.type("embedding")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=embedding")
    expect(page.locator("#search-results li a").first).to_be_visible()
    assert heard.outside == [] and heard.failed == []


def test_the_page_for_wrong_addresses_stands_at_any_depth():
    """All that it names begins with the published path, and is there."""
    assert SPHINX["notfound_urls_prefix"] == PREFIX
    page, seen = parsed("404.html"), 0
    for tag, what in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")):
        for node in page.select(f"{tag}[{what}]"):
            link = urlsplit(node[what])
            if link.scheme or link.netloc or not link.path:
                continue
            assert link.path.startswith(PREFIX), node[what]
            assert there("", link.path.removeprefix(PREFIX)), node[what]
            seen += 1
    assert seen > len(PAGES)


# --------------------------------------------------------------------- nothing gets lost


def test_all_that_jupyter_book_makes_of_the_configuration_arrives():
    """Options of the theme stand in three places of _config.yml, and none replaces another."""
    from jupyter_book.config import get_final_config

    made, _ = get_final_config(
        user_yaml=ROOT / "_config.yml", cli_config={"latex_individualpages": False}
    )
    options = made["html_theme_options"]
    assert options.items() >= THEME.items()
    assert options["launch_buttons"].items() >= CONFIG["launch_buttons"].items()
    assert options["repository_url"] == REPOSITORY
    assert options["repository_branch"] == CONFIG["repository"]["branch"]
    for name in ("use_repository_button", "use_issues_button", "extra_footer"):
        assert options[name] == CONFIG["html"][name]
    assert options["analytics"]["plausible_analytics_domain"] == ""  # nobody is counted
