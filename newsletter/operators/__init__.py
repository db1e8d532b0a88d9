"""People who log in, what they prove, and what they may do.

The road: `people` adds someone → `enrolment` gives them a link and takes their first factors → `throttle` counts who knocks →
`factors` checks password and second factor → `sessions` remembers a device → `roles` says what they may do → `audit` keeps
what they did. `tokens` are for programs. `passwords`, `codes`, `passkeys` and `roles` are pure; the rest is SQL of this family.
"""
