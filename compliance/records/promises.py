"""What is promised to people, each with the test that holds it. `/trust` shows both; a test checks that the tests exist."""

from __future__ import annotations

from dataclasses import dataclass

from likeness.locale.marks import N_


@dataclass(frozen=True)
class Promise:
    words: str
    test: str
    """`folder/file.py::function` below `tests`."""


PROMISES = (
    Promise(
        N_("No photo is taken before you have agreed."),
        "batch/test_photos.py::test_a_byte_before_consent_is_refused_and_leaves_nothing",
    ),
    Promise(
        N_("Where and when a photo was taken is removed from the file when it arrives."),
        "batch/test_inspection.py::test_every_format_becomes_a_clean_jpeg",
    ),
    Promise(
        N_("What is measured in a face is never stored."),
        "promises/test_promises.py::test_no_table_has_a_place_for_a_face_measure",
    ),
    Promise(
        N_("Selfies, models and headshots go on their last day, to the minute."),
        "compliance/test_retention.py::test_selfies_and_weights_go_on_day_7_and_headshots_on_day_30_to_the_minute",
    ),
    Promise(
        N_("No model of you outlives your last selfie."),
        "compliance/test_retention.py::test_no_weights_outlive_the_last_selfie",
    ),
    Promise(
        N_("Your employer gets the headshots that you release, and no others."),
        "batch/test_headshots.py::test_hr_has_what_was_released_until_it_is_taken_back",
    ),
    Promise(
        N_("HR cannot tell who withdrew from who declined or never answered."),
        "compliance/test_erasures.py::test_hr_cannot_tell_who_withdrew_from_who_declined_or_never_answered",
    ),
    Promise(
        N_("One company never sees the people of another."),
        "promises/test_promises.py::test_every_table_is_under_forced_row_level_security",
    ),
    Promise(
        N_("A legal hold takes two people."),
        "compliance/test_holds.py::test_it_stands_once_a_second_person_confirmed_it_and_until_it_is_lifted",
    ),
    Promise(
        N_("No deletion is certified before a second program has looked and found nothing."),
        "compliance/test_certificates.py::test_without_a_passed_scan_there_is_no_certificate",
    ),
    Promise(
        N_("A restored backup does not bring back what was deleted or withdrawn."),
        "compliance/test_restore.py::test_what_narrowed_stays_away_when_the_database_comes_back",
    ),
    Promise(
        N_("Whoever keeps one checkpoint notices when the log is changed, even by the owner of the database."),
        "compliance/test_restore.py::test_whatever_the_owner_does_to_the_log_is_noticed_by_who_holds_one_checkpoint",
    ),
)
