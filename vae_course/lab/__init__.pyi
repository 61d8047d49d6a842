from vae_course.lab.claims import Claim as Claim
from vae_course.lab.ledger import (
    ClaimFailed as ClaimFailed,
    claim as claim,
    read_claims as read_claims,
)
from vae_course.lab.solutions import Solutions as Solutions
from vae_course.lab.start import Lab as Lab, start as start
