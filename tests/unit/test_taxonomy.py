"""The tree of labels: what is packaged, and what is refused."""

from __future__ import annotations

import pytest

from humannet_ops.domain.taxonomy import TaxonomyError, parse, taxonomy

SMALL = """
revision: 1
facets:
  motion:
    is: What is done.
    levels: 3
    nodes:
      daily:
        is: everyday
        nodes:
          cooking:
            is: preparing food
            implies: [manipulation]
            nodes:
              chop: cutting with a knife
              stir: {is: stirring in a pot, also: [mixing], name: Stir it}
  interaction: {is: How., levels: 1, multiple: true, nodes: {manipulation: holding}}
"""


def test_the_packaged_tree_has_the_classes_that_the_issue_names() -> None:
    tree = taxonomy()
    motion, scene = tree.facets["motion"], tree.facets["scene"]
    assert [node.path for node in motion.at(1)] == [
        "locomotion", "sports", "fitness_and_outdoor", "daily_activities", "social_and_leisure",
        "game_character_actions",
    ]  # fmt: skip
    assert (len(motion.at(2)), len(motion.at(3))) == (56, 518)
    assert [node.path for node in scene.at(1)] == [
        "home", "industrial", "work_and_study", "outdoor", "retail", "transportation", "dining", "medical_and_service",
        "sports_and_recreation", "other",
    ]  # fmt: skip
    assert all(scene.below(node.path) for node in scene.at(1))
    assert tree.facets["interaction"].multiple
    assert set(tree.facets["interaction"].nodes) == {
        "manipulation", "tool_use", "object_transport", "locomotion", "whole_body_motion", "environmental_state_change",
        "multi_person_coordination", "long_horizon_procedure",
    }  # fmt: skip
    assert set(tree.facets) == {"motion", "scene", "interaction", "source_type", "task_structure"}


def test_every_class_is_told_apart_from_its_siblings_by_its_words() -> None:
    for facet in taxonomy().facets.values():
        for level in range(1, facet.levels + 1):
            for field in ("name", "definition"):
                words = [(node.parent, getattr(node, field)) for node in facet.at(level)]
                assert len(set(words)) == len(words), (facet.slug, field)


def test_a_node_knows_its_place_and_its_words() -> None:
    tree = parse(SMALL)
    stir = tree.node("motion", "daily/cooking/stir")
    assert (stir.name, stir.level, stir.parent) == ("Stir it", 3, "daily/cooking")
    assert stir.phrases == ("stirring in a pot", "stir it", "mixing")
    facet = tree.facets["motion"]
    assert [node.path for node in facet.within("daily/cooking")] == [
        "daily/cooking", "daily/cooking/chop", "daily/cooking/stir",
    ]  # fmt: skip
    assert [node.name for node in facet.below(None)] == ["Daily"]


def test_the_version_follows_content_and_revision_and_not_the_layout_of_the_file() -> None:
    version = parse(SMALL).version
    assert version.startswith("1-")
    assert parse(SMALL.replace("chop: cutting with a knife", "chop: {is: cutting with a knife}")).version != version
    assert parse("# a remark\n" + SMALL).version == version
    assert parse(SMALL.replace("mixing", "blending")).version != version
    assert parse(SMALL.replace("revision: 1", "revision: 2")).version.startswith("2-")


@pytest.mark.parametrize(
    ("facet", "path", "said"),
    [
        ("motion", "daily/cooking/bake", "below daily/cooking there is daily/cooking/chop, daily/cooking/stir"),
        ("motion", "sports", "below motion there is daily"),
        ("motion", "daily/cooking/chop/finely", "nothing: daily/cooking/chop is a leaf"),
        ("motion", "", "is not in facet motion"),
        ("mood", "happy", "no facet 'mood'"),
    ],
)
def test_a_label_that_is_not_in_the_tree_is_refused_with_cause_and_cure(facet: str, path: str, said: str) -> None:
    with pytest.raises(TaxonomyError, match=said):
        parse(SMALL).node(facet, path)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("stir: {is", "chop: {is", r"line 16: duplicate slug 'chop', first in line 15"),
        ("is: preparing food", "is: ''", "motion: daily/cooking: is: '' is no text: every node has a definition"),
        ("implies: [manipulation]", "implies: [juggling]", "implies: 'juggling' is no node of facet interaction"),
        ("levels: 3", "levels: 2", "daily/cooking/chop: lies on level 3, and the facet has 2 levels"),
        ("chop:", "Chop It:", "'Chop It' is no slug"),
        ("daily:", "daily/:", "'' is no slug"),
        ("also: [mixing]", "aslo: [mixing]", "unknown aslo"),
        ("also: [mixing]", "also: mixing", "'mixing' is no list of texts"),
        ("revision: 1", "revision: one", "revision: 'one' is no positive whole number"),
        ("revision: 1\n", "", "has `revision` and `facets` at its top"),
        ("  interaction:", "  bogus:", "there is no such facet"),
        ("facets:", "facets: [", "is no YAML"),
    ],
)
def test_a_wrong_taxonomy_is_refused_where_it_is_wrong(before: str, after: str, said: str) -> None:
    assert before in SMALL
    with pytest.raises(TaxonomyError, match=said):
        parse(SMALL.replace(before, after, 1))


def test_every_node_is_found_by_its_path() -> None:
    tree = taxonomy()
    for node in tree.nodes():
        assert tree.node(node.facet, node.path) is node
        if node.parent:
            assert tree.node(node.facet, node.parent).level == node.level - 1
