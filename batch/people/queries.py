"""What the database is asked about where everybody stands: each person's facts, and the stage that follows from them."""

from __future__ import annotations

from sqlalchemy import TextClause, text

from batch.people import departments
from batch.people.departments import Grouping

# Whom a query is about: a company, a batch, one person, some people, or one page of a roster, or of all of them, after its
# last line.
PEOPLE = f"""
    select e.* from employee e
    where e.tenant_id = :tenant
      and (cast(:batch as uuid) is null or e.batch_id = :batch)
      and (cast(:employee as uuid) is null or e.id = :employee)
      and (cast(:site as bytea) is null or e.site_index = :site)
      and (cast(:manager as bytea) is null or e.manager_index = :manager)
      and (cast(:among as uuid[]) is null or e.id in (select unnest(cast(:among as uuid[]))))
      and (cast(:after as uuid) is null or (e.row, e.roster_id) > (cast(:after_row as integer), cast(:after as uuid)))
      and (cast(:from_id as uuid) is null or (e.batch_id, e.row, e.roster_id)
           > (cast(:from_batch as uuid), cast(:from_row as integer), cast(:from_id as uuid)))
      and {departments.BOUND}
"""
OF_A_BATCH = f"""
    select e.* from employee e
    where e.tenant_id = :tenant and (cast(:batch as uuid) is null or e.batch_id = :batch) and {departments.BOUND}
"""
IN_ORDER = " order by row, roster_id offset cast(:skip as bigint) limit cast(:most as bigint)"

# Each person's invitation that stands, of which there is one at most (`invitation_standing`), their newest sitting, and the
# counts of the rest; every lateral part is one index look-up.
FACTS = """
    select e.id, e.roster_id, e.batch_id, e.row, e.opted_out_at, e.created_at, e.department_index, e.site_index,
           (select max(revoked_at) from invitation
            where tenant_id = e.tenant_id and employee_id = e.id and revoked_at < expires_at) as revoked_at,
           i.id as invitation_id, i.created_at as invited_at, i.expires_at, i.delivered_at, i.opened_at, i.bounced_at,
           i.reminders, i.reminded_at, i.quiet,
           c.given_at, case when c.portrait then :enough_for_a_portrait else :enough_for_a_model end as enough,
           p.photos, p.accepted, p.first_at, s.state, s.changed_at, r.released_at, r.downloaded_at
    from people e
    left join invitation i on i.tenant_id = e.tenant_id and i.employee_id = e.id and i.revoked_at is null
    left join lateral (
        select min(given_at) as given_at, bool_or(purpose = 'portrait') as portrait from consent
        where tenant_id = e.tenant_id and employee_id = e.id and withdrawn_at is null
    ) c on true
    left join lateral (
        select count(*) as photos, min(created_at) as first_at,
               count(*) filter (where state = 'accepted' and missing_since is null) as accepted
        from photo where tenant_id = e.tenant_id and employee_id = e.id
    ) p on true
    left join lateral (
        select state, changed_at from sitting where tenant_id = e.tenant_id and employee_id = e.id
        order by created_at desc limit 1
    ) s on true
    left join lateral (
        select min(at) as released_at, max(downloaded_at) as downloaded_at
        from release where tenant_id = e.tenant_id and employee_id = e.id
    ) r on true
"""

# `funnel.place` in the database's words, so that ten thousand people are counted there and not here. Whoever changes one of
# the two changes both: `test_the_database_places_people_as_the_program_does` tries every combination of facts.
PLACED = """
    select f.*,
        case
            when opted_out_at is not null and asked.open then asked.stage
            when opted_out_at is not null then 'opted out'
            when downloaded_at is not null then 'exported'
            when released_at is not null then 'chosen'
            when state <> 'cancelled' and changed_at is not null then
                case
                    when state = 'ready' and :now - changed_at > :queued_too_long then 'stuck'
                    when state in ('training', 'rendering') and :now - changed_at > :step_too_long then 'stuck'
                    when state = 'ready' then 'queued'
                    when state = 'done' then 'ready'
                    else state
                end
            when first_at is not null then 'uploading'
            when given_at is not null then 'consented'
            else asked.stage
        end as stage,
        case
            when opted_out_at is not null and asked.open then asked.since
            when opted_out_at is not null then opted_out_at
            else coalesce(
                downloaded_at, released_at, case when state <> 'cancelled' then changed_at end, first_at, given_at,
                asked.since
            )
        end as since
    from facts f, lateral (
        select coalesce(expires_at > :now, revoked_at is not null) as open,
            case
                when invited_at is null or expires_at is null then 'added'
                when bounced_at is not null then 'bounced'
                when expires_at <= :now then 'opted out'
                when opened_at is not null then 'opened'
                when delivered_at is not null then 'delivered'
                else 'invited'
            end as stage,
            case
                when invited_at is null or expires_at is null then created_at
                when bounced_at is not null then bounced_at
                when expires_at <= :now then expires_at
                else coalesce(opened_at, delivered_at, invited_at)
            end as since
    ) asked
"""

WITH_FACTS = f"with people as ({PEOPLE}), facts as ({FACTS})"
WITH_STAGES = f"{WITH_FACTS}, placed as ({PLACED})"
STAGES_OF_A_BATCH = WITH_STAGES.replace(PEOPLE, OF_A_BATCH)


def _query(words: str) -> TextClause:
    """In one line: the driver remembers queries below 4,096 characters, and reads a longer one (`FOUND`) anew."""
    return text(" ".join(words.split()))


LINES = _query(WITH_FACTS + " select * from facts order by row, roster_id")
A_PAGE = _query(WITH_FACTS.replace(PEOPLE, PEOPLE + IN_ORDER) + " select * from facts order by row, roster_id")
A_PAGE_OF_A_STAGE = _query(WITH_STAGES + " select * from placed where stage = :stage" + IN_ORDER)
# Whom somebody at HR could help: `funnel.attention` in the database's words.
_NEEDY = """
    stage in ('bounced', 'stuck', 'failed') or (stage = 'uploading' and accepted < enough and :now - since > :slow)
"""
TALLIES = _query(
    STAGES_OF_A_BATCH
    + f"""
    select batch_id, stage, count(*) as people,
           percentile_cont(0.5) within group (order by greatest(interval '0', :now - since)) as median,
           greatest(interval '0', :now - min(since)) as oldest,
           coalesce(array_agg(id) filter (where {_NEEDY}), '{{}}') as needy
    from placed group by batch_id, stage
    """
)
ATTENTION = _query(
    WITH_STAGES
    + f"""
    select * from placed where {_NEEDY}
    order by batch_id, row, roster_id limit cast(:most as bigint)
    """
)

# Each department, site or manager with how many people that are, the largest first, and a few of them, whose lines say
# what it is called.
GROUPED = {
    by: _query(f"""
        select e.{by.column} as digest, count(*) as people, (array_agg(e.id order by e.created_at desc, e.id))[1:3] as some
        from employee e
        where e.tenant_id = :tenant and (cast(:batch as uuid) is null or e.batch_id = :batch) and {departments.BOUND}
        group by e.{by.column} order by people desc, digest limit cast(:most as bigint)
    """)
    for by in Grouping
}

# The same people by what decides about their looks: their department, and the pack of their batch.
BY_PACK = _query(f"""
    select e.department_index, b.pack_id, count(*) as people
    from employee e join batch b on b.tenant_id = e.tenant_id and b.id = e.batch_id
    where e.tenant_id = :tenant and {departments.BOUND} group by e.department_index, b.pack_id
""")

# Departments and sites are sealed: whoever asks for their order says which digest comes when.
_BY = "case when :order like 'site%' then site_index else department_index end"
_RANKED = f"array_position(cast(:ranked as bytea[]), {_BY})"

_WANTED = """
    where (cast(:stages as text[]) is null or stage = any(cast(:stages as text[])))
      and (cast(:waiting as interval) is null or (stage <> 'opted out' and since <= :now - cast(:waiting as interval)))
"""

# People of all batches, or `among` some, who stand in that order where nothing else decides. Who opted out stands behind
# everybody else where time decides, and is of no age: the order alone would tell when they did.
_FILTERED = f"""
    select placed.* from placed
    left join unnest(cast(:among as uuid[])) with ordinality as sought(person, place) on sought.person = placed.id
    {_WANTED}
    order by
        case when :order like 'stage%' then array_position(cast(:in_order as text[]), stage::text) end,
        case when :order = 'longest' and stage <> 'opted out' then since end asc nulls last,
        case when :order = 'newest' and stage <> 'opted out' then since end desc nulls last,
        {_RANKED},
        sought.place, batch_id, row, roster_id
    offset cast(:skip as bigint) limit cast(:most as bigint)
"""
FOUND = _query(f"{WITH_STAGES} {_FILTERED}")
HOW_MANY = _query(f"with people as ({PEOPLE}) select count(*) from people")
HOW_MANY_FOUND = _query(f"{WITH_STAGES} select count(*) from placed {_WANTED}")
_LISTED = "batch_id, row, roster_id"
ON_THE_LIST = _query(
    f"with people as ({PEOPLE}) select coalesce(array_agg(id order by {_LISTED}), '{{}}') as people,"
    f" coalesce(array_agg(sha256(profile) order by {_LISTED}), '{{}}') as digests from people"
)
"""Everybody in the order of the lists, and what changes whenever their line does; as two arrays, since ten thousand rows
take longer to read than to find."""
_CUT = " order by e.batch_id, e.row, e.roster_id offset cast(:skip as bigint) limit cast(:most as bigint)"
FOUND_AT_ONCE = _query(WITH_FACTS.replace(PEOPLE, PEOPLE + _CUT) + " select * from facts order by batch_id, row, roster_id")
"""Everybody in the order of the lists: the page is cut before anybody's place is looked up."""
RANKED_AT_ONCE = _query(
    WITH_FACTS.replace(PEOPLE, PEOPLE + _CUT.replace("order by", f"order by {_RANKED},"))
    + f" select * from facts order by {_RANKED}, batch_id, row, roster_id"
)
"""The same in the order of departments or sites."""
