"""Grade a class: students' code in a sandbox, the tests outside of it."""
