"""No number that JSON has not."""

import math

import pytest
from anywidget import AnyWidget
from traitlets import TraitError

from recsys_book import widgets


@pytest.mark.parametrize("name", widgets.__all__)
def test_no_widget_takes_a_number_that_json_has_not(name):
    """Whatever trait of whatever widget could hold one."""
    kind = getattr(widgets, name)
    empty = kind.__new__(kind)
    AnyWidget.__init__(empty)
    for trait_name in kind.class_own_traits(sync=True):
        for bad in (math.nan, math.inf):
            for value in (bad, [bad], [{"x": bad}], {"x": bad}):
                with pytest.raises((ValueError, TraitError)):
                    setattr(empty, trait_name, value)
