"""The review queue on both databases: what comes next, for whom, and what comes again without saying so."""

import threading
from datetime import timedelta

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage import labels, review
from mambaad_demo.storage.listing import Decided, Filters, Order
from mambaad_demo.storage.review import CLAIM_SECONDS, REPEAT_DISTANCE, REPEAT_EVERY
from mambaad_demo.storage.tables import now
from tests.workflow.stored import Scorer, image_ids, inspected, part, parts, queue_of, turn
from tests.workflow.stored import workspace as local

__all__ = ["local"]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told to."""

    class Clock:
        def __init__(self):
            self.time = now()

        def forward(self, seconds):
            self.time += timedelta(seconds=seconds)

    clock = Clock()
    monkeypatch.setattr(review, "now", lambda: clock.time)
    return clock


def good(workspace, name, *, reviewer="mira", **how):
    image = name if isinstance(name, int) else image_ids(workspace)[name]
    return labels.decide(workspace, image, Label(finding=Finding.GOOD), reviewer=reviewer, **how)


def filled(workspace, scores):
    """A batch of parts with these scores by name."""
    return inspected(
        workspace, {name: part(score, number) for number, (name, score) in enumerate(scores.items())}
    )


def work_through(workspace, queue, *, at_most=1000):
    """Decide on all that comes; names in order, hidden repeats marked with `again`."""
    done = []
    while len(done) < at_most:
        found = review.next_turn(workspace, queue)
        if found is None:
            break
        labels.decide(
            workspace,
            found.inspection.image_id,
            Label(finding=Finding.GOOD),
            reviewer=queue.reviewer,
            is_repeat=found.is_repeat,
        )
        done.append(found.inspection.name + (" again" if found.is_repeat else ""))
    return done


class TestOrder:
    """What comes first."""

    def test_parts_come_by_closeness_to_a_limit_and_those_without_limits_last(self, workspace):
        inspected(workspace, {"no limits": part(0.5, 99)}, predictor=Scorer(limits=Limits()))
        filled(workspace, {"far": 0.05, "near": 0.42, "nearest": 0.5, "middle": 0.3})
        assert work_through(workspace, queue_of("mira")) == ["nearest", "near", "middle", "far", "no limits"]

    def test_what_waits_is_told_in_the_order_in_which_it_will_come(self, workspace):
        filled(workspace, {f"{number}": number / 10 for number in range(10)})
        queue = queue_of("mira")
        left, first = review.waiting(workspace, queue, at_most=4)
        assert left == 10
        assert [one.name for one in first] == work_through(workspace, queue, at_most=4)
        left, first = review.waiting(workspace, queue)
        assert (left, len(first)) == (6, 6)

    def test_filters_and_order_hold_for_the_queue(self, workspace):
        filled(workspace, {"a": 0.1, "b": 0.6, "c": 0.9})
        assert work_through(workspace, queue_of("mira", verdict="reject", order=Order.SCORE)) == ["c", "b"]

    def test_parts_that_were_skipped_are_left_out_as_asked(self, workspace):
        filled(workspace, {"a": 0.5, "b": 0.3})
        queue, ids = queue_of("mira"), image_ids(workspace)
        assert turn(workspace, queue, seen=[ids["a"]]) == ("b", False)
        assert turn(workspace, queue, seen=ids.values()) is None
        assert review.waiting(workspace, queue, seen=[ids["a"]])[0] == 1

    def test_nothing_is_left_where_all_is_decided(self, workspace):
        filled(workspace, {"a": 0.5})
        good(workspace, "a")
        assert turn(workspace, queue_of("mira")) is None
        assert review.waiting(workspace, queue_of("mira")) == (0, [])

    def test_an_undone_decision_brings_its_part_back(self, workspace):
        filled(workspace, {"a": 0.5})
        good(workspace, "a")
        labels.undo(workspace, reviewer="mira")
        assert turn(workspace, queue_of("mira")) == ("a", False)

    @pytest.mark.parametrize("name", ["", "   ", "\n"])
    def test_somebody_without_a_name_gets_nothing(self, workspace, name):
        with pytest.raises(InputError, match="name"):
            review.next_turn(workspace, queue_of(name))

    def test_a_part_by_its_number_belongs_to_its_workspace(self, workspace):
        filled(workspace, {"a": 0.5})
        image = image_ids(workspace)["a"]
        assert review.turn_of(workspace, image).inspection.name == "a"
        with pytest.raises(InputError):
            review.turn_of(workspace.of("stranger"), image)
        assert turn(workspace.of("stranger"), queue_of("mira")) is None


class TestSharing:
    """Several reviewers at once."""

    def test_two_who_share_a_queue_get_different_parts(self, workspace):
        filled(workspace, {"a": 0.5, "b": 0.3})
        assert turn(workspace, queue_of("mira")) == ("a", False)
        assert turn(workspace, queue_of("jo")) == ("b", False)
        assert turn(workspace, queue_of("ada")) is None
        assert review.waiting(workspace, queue_of("ada"))[0] == 0
        good(workspace, "a")
        assert turn(workspace, queue_of("ada")) is None

    def test_a_part_that_is_not_decided_is_free_again_after_a_while(self, workspace, clock):
        filled(workspace, {"a": 0.5})
        assert turn(workspace, queue_of("mira")) == ("a", False)
        clock.forward(CLAIM_SECONDS - 1)
        assert turn(workspace, queue_of("jo")) is None
        clock.forward(2)
        assert turn(workspace, queue_of("jo")) == ("a", False)
        assert turn(workspace, queue_of("mira")) is None

    def test_a_part_that_is_still_on_the_screen_stays_claimed(self, workspace, clock):
        filled(workspace, {"a": 0.5})
        turn(workspace, queue_of("mira"))
        for _ in range(3):
            clock.forward(CLAIM_SECONDS - 1)
            review.claim(workspace, image_ids(workspace)["a"], reviewer="mira")
        assert turn(workspace, queue_of("jo")) is None

    def test_looking_at_another_part_frees_the_one_before(self, workspace):
        filled(workspace, {"a": 0.5, "b": 0.3})
        turn(workspace, queue_of("mira"))
        skipped = [image_ids(workspace)["a"]]
        assert turn(workspace, queue_of("mira"), seen=skipped) == ("b", False)
        assert turn(workspace, queue_of("jo")) == ("a", False)

    def test_the_page_loaded_again_shows_the_same_part(self, workspace):
        filled(workspace, {"a": 0.5, "b": 0.3})
        assert turn(workspace, queue_of("mira")) == turn(workspace, queue_of("mira")) == ("a", False)

    def test_two_names_that_differ_in_spaces_are_one_reviewer(self, workspace):
        filled(workspace, {"a": 0.5})
        turn(workspace, queue_of("mira"))
        assert turn(workspace, queue_of("  mira\t")) == ("a", False)

    def test_everybody_can_see_every_part(self, workspace):
        filled(workspace, {"a": 0.5, "b": 0.3})
        everybody = {name: queue_of(name, is_shared=False) for name in ("mira", "jo")}
        assert [turn(workspace, queue) for queue in everybody.values()] == [("a", False)] * 2
        good(workspace, "a")
        assert turn(workspace, everybody["mira"]) == ("b", False)
        assert turn(workspace, everybody["jo"]) == ("a", False)
        assert review.waiting(workspace, everybody["jo"])[0] == 2
        assert work_through(workspace, everybody["jo"]) == ["a", "b"]
        assert len(labels.labeled_images(workspace)[0].reviewers) == 2

    def test_decided_parts_can_be_gone_through_again(self, workspace):
        filled(workspace, {"a": 0.5, "b": 0.3, "c": 0.1})
        good(workspace, "a")
        good(workspace, "b", reviewer="jo")
        queue = queue_of("mira", decided=Decided.SOMEBODY)
        assert queue.is_revisit
        ids = image_ids(workspace)
        assert turn(workspace, queue) == ("a", False)
        good(workspace, "a")
        assert turn(workspace, queue, seen=[ids["a"]]) == ("b", False)
        assert turn(workspace, queue, seen=[ids["a"], ids["b"]]) is None

    def test_many_who_go_through_decided_parts_find_one_each(self, workspace):
        filled(workspace, {f"{number:02d}": 0.5 for number in range(12)})
        for name in image_ids(workspace):
            good(workspace, name)
        turns = [
            turn(workspace, queue_of(f"reviewer {number}", decided=Decided.SOMEBODY)) for number in range(12)
        ]
        assert len(set(turns)) == 12
        assert None not in turns

    def test_reviewers_at_full_speed_never_decide_on_one_part_twice(self, workspace):
        inspected(workspace, parts(24))
        done, failed = [], []

        def work(name):
            try:
                queue = queue_of(name)
                while (found := review.next_turn(workspace, queue)) is not None:
                    image = found.inspection.image_id
                    labels.decide(
                        workspace,
                        image,
                        Label(finding=Finding.GOOD),
                        reviewer=name,
                        is_repeat=found.is_repeat,
                    )
                    if not found.is_repeat:
                        done.append(image)
            except BaseException as error:  # shown by the assertion below
                failed.append(error)

        threads = [threading.Thread(target=work, args=(f"reviewer {number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert sorted(done) == sorted(image_ids(workspace).values())


class TestHiddenRepeats:
    """Parts that come again without saying so."""

    def test_one_comes_after_every_tenth_decision_and_none_twice(self, workspace):
        inspected(workspace, parts(25))
        done = work_through(workspace, queue_of("mira"))
        again = [number for number, name in enumerate(done) if name.endswith("again")]
        assert again == [10, 21]
        assert done[10] != done[21]
        assert len(done) == 27
        for number in again:
            first = done.index(done[number].removesuffix(" again"))
            assert number - first - 1 >= REPEAT_DISTANCE

    def test_a_part_decided_again_just_now_is_not_repeated(self, local):
        inspected(local, parts(REPEAT_EVERY))
        ids = list(image_ids(local).values())
        first = ids[: REPEAT_EVERY // 2]
        for image in [*first, *first]:  # each a second time, so that ten decisions rest on five parts
            good(local, image)
        assert turn(local, queue_of("mira"))[1] is False

    def test_only_own_decisions_count_and_only_own_parts_come_again(self, local):
        inspected(local, parts(22))
        ids = list(image_ids(local).values())
        for image in ids[:9]:
            good(local, image)
        for image in ids[9:20]:
            good(local, image, reviewer="jo")
        assert turn(local, queue_of("mira"))[1] is False
        good(local, ids[20])
        found = review.next_turn(local, queue_of("mira"))
        assert found.is_repeat
        assert found.inspection.image_id in ids[:9]

    def test_what_was_taken_back_is_not_repeated(self, local):
        inspected(local, parts(21))
        ids = list(image_ids(local).values())
        for image in ids[:10]:
            good(local, image)
            labels.undo(local, reviewer="mira")
        for image in ids[10:20]:
            good(local, image)
        found = review.next_turn(local, queue_of("mira"))
        assert found.is_repeat
        assert found.inspection.image_id in ids[10:15]

    def test_repeats_obey_the_filters_of_the_queue(self, local):
        inspected(local, {f"a{number}": part(0.2, number) for number in range(10)})
        inspected(local, {f"b{number}": part(0.9, 20 + number) for number in range(5)})
        for image in [image for name, image in image_ids(local).items() if name.startswith("a")]:
            good(local, image)
        assert turn(local, queue_of("mira", verdict="reject"))[1] is False
        assert turn(local, queue_of("mira"))[1] is True

    def test_going_through_decided_parts_holds_no_repeats(self, local):
        inspected(local, parts(10))
        for image in image_ids(local).values():
            good(local, image)
        assert turn(local, queue_of("mira", decided=Decided.SOMEBODY))[1] is False

    def test_a_repeat_that_is_skipped_does_not_come_for_ever(self, local):
        inspected(local, parts(12))
        queue = queue_of("mira")
        work_through(local, queue, at_most=10)
        skipped = review.next_turn(local, queue)
        assert skipped.is_repeat
        repeated = [skipped.inspection.image_id]
        following = review.next_turn(local, queue, repeated=repeated)
        assert not following.is_repeat
        seen = [following.inspection.image_id]
        assert not review.next_turn(local, queue, seen=seen, repeated=repeated).is_repeat

    def test_repeats_are_told_apart_in_the_measurement(self, local):
        inspected(local, parts(11))
        work_through(local, queue_of("mira"))
        assert labels.repeats(local) == [("mira", Finding.GOOD, Finding.GOOD)]

    def test_a_repeat_whose_decision_was_undone_is_not_shown_a_third_time(self, local):
        inspected(local, parts(13))
        queue = queue_of("mira")
        repeated = work_through(local, queue, at_most=11)[-1]
        labels.undo(local, reviewer="mira")
        for _ in range(30):
            if (following := review.next_turn(local, queue)) is None:
                break
            image = following.inspection.image_id
            good(local, image, is_repeat=following.is_repeat)
            assert following.inspection.name != repeated.removesuffix(" again")


class TestPace:
    """How a reviewer gets on."""

    def test_nobody_has_no_pace(self, local):
        assert review.pace(local, "mira") == review.Pace(decided=0, median_seconds=None)

    @pytest.mark.parametrize(
        ("seconds", "median"), [([3.0], 3.0), ([9.0, 1.0, 2.0], 2.0), ([1.0, 2.0], 1.5), ([None, 4.0], 4.0)]
    )
    def test_it_is_the_median_of_the_known_times(self, local, seconds, median):
        inspected(local, parts(len(seconds)))
        for image, taken in zip(image_ids(local).values(), seconds, strict=True):
            good(local, image, seconds=taken)
        assert review.pace(local, "mira") == review.Pace(decided=len(seconds), median_seconds=median)

    def test_others_and_undone_decisions_do_not_count(self, local):
        inspected(local, parts(3))
        first, second, third = image_ids(local).values()
        good(local, first, seconds=1)
        good(local, second, seconds=100)
        labels.undo(local, reviewer="mira")
        good(local, third, seconds=50, reviewer="jo")
        assert review.pace(local, " mira ") == review.Pace(decided=1, median_seconds=1)
        assert review.pace(local.of("stranger"), "mira").decided == 0


class TestViews:
    """Filters under a name."""

    FULL = Filters(
        job_id="ab" * 16,
        product="=cap 'q' 🚀",
        checkpoint="mambaad",
        verdict="check",
        decided=Decided.NOBODY,
        finding="defect",
        defect_type="bent",
        collection="golden",
        search="100%_\\",
        order=Order.NEWEST,
    )

    def test_filters_come_back_as_they_were(self, workspace):
        assert review.save_view(workspace, "all of it", self.FULL) == "all of it"
        review.save_view(workspace, "nothing", Filters())
        assert review.saved_views(workspace) == {"all of it": self.FULL, "nothing": Filters()}

    def test_a_view_of_the_same_name_is_replaced(self, workspace):
        review.save_view(workspace, "mine", Filters(verdict="check"))
        review.save_view(workspace, " mine ", Filters(verdict="reject"))
        assert review.saved_views(workspace) == {"mine": Filters(verdict="reject")}

    def test_each_workspace_has_its_own(self, workspace):
        review.save_view(workspace, "mine", Filters())
        review.save_view(workspace.of("stranger"), "mine", Filters(verdict="reject"))
        assert review.saved_views(workspace) == {"mine": Filters()}

    @pytest.mark.parametrize("name", ["", " \n "])
    def test_a_view_needs_a_name(self, workspace, name):
        with pytest.raises(InputError, match="name"):
            review.save_view(workspace, name, Filters())
        assert review.saved_views(workspace) == {}
