"""Waiting, so that a busy machine changes nothing.

No test waits for a while: each waits for what is to happen, by these or by Playwright's `expect`,
and where time itself matters, as in playing, the test holds the page's clock.
"""

#: Milliseconds after which what is waited for will not come: far more than a busy machine needs.
PATIENCE = 60_000


def laid_out(page) -> None:
    """Wait until what was changed has been laid out and observers of sizes have answered.

    They are told at the end of a frame of the screen, so two frames do. (A page whose clock stands
    still has no frames of its own: see `stop_clock`.)
    """
    page.evaluate("""() => new Promise(
        done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))""")


def at_rest(page) -> None:
    """Wait until colours that turn slowly have turned."""
    laid_out(page)
    page.evaluate("Promise.allSettled(document.getAnimations().map(a => a.finished))")


def changed(what, script: str, before):
    """What a script tells of a locator, once it is no longer what it was before."""
    page, told = what.page, f"([node, before]) => ({script})(node) !== before"
    page.wait_for_function(told, arg=[what.element_handle(), before])
    return what.evaluate(script)


def becomes(what, script: str, wanted) -> None:
    """Wait until a script tells of a locator what is wanted."""
    told = f"([node, wanted]) => ({script})(node) === wanted"
    what.page.wait_for_function(told, arg=[what.element_handle(), wanted])


def stop_clock(page) -> None:
    """From here on time passes in the page only by `page.clock.run_for`.

    Timers, frames for animation and dates wait for it; keys, pointers and layout do not.
    """
    page.clock.install(time=0)
    page.clock.pause_at(3_600_000)  # ahead of all the time that could pass between these lines


def point(page, x: float, y: float, **options) -> None:
    """Move the mouse, and wait until the page has heard of it: browsers gather moves by frame."""
    page.evaluate("""() => {
        window.pointed = window.pointed || (addEventListener('pointermove', e => {
            window.pointed = [e.clientX, e.clientY];
        }, true), []);
    }""")
    page.mouse.move(x, y, **options)
    near = "([x, y]) => Math.hypot(window.pointed[0] - x, window.pointed[1] - y) < 1.5"
    page.wait_for_function(near, arg=[x, y])
