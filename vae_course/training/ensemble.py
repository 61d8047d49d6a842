"""Models of one architecture trained as one: each weight is the members' weights, stacked."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from vae_course.distortion import Distortion
from vae_course.models import VAE, VQVAE, Autoencoder, LossTerms, SphericalVAE, networks
from vae_course.models.spherical import direction_and_stretch, offset_of
from vae_course.sphere import from_stretch


class Ensemble(nn.Module):
    """Models of one architecture as one module: each weight is the members' weights, stacked.

    ``loss_terms`` takes and gives (members, batch, ...). Where every layer takes stacked weights
    the model's own code runs on them, a batched product a layer; otherwise vmap carries it over
    the members, at a higher price for small networks. The law of a spherical code is never
    mapped: all members of a family draw theirs in one call.
    """

    offset: Tensor  # of spheres: (members, 1)

    def __init__(self, members: Sequence[Any]) -> None:
        super().__init__()
        if isinstance(members[0], VQVAE):
            raise ValueError(
                "a VQVAE's codebook learns from each batch, which one ensemble of many can't do: "
                "give each run its own process, sweep(..., workers=2, folder=PATH)"
            )
        if getattr(members[0].distortion, "learns", False):
            raise ValueError(
                "this distortion learns from each batch, which one ensemble of many can't do: "
                "give each run its own process, sweep(..., workers=2, folder=PATH), and each model "
                "its own distortion"
            )
        self.check_data = getattr(members[0], "check_data", lambda images: None)
        self.batched = _takes_stacked_weights(members[0])
        stack = copy.deepcopy(members[0])
        for name, tensors in _by_name(members):
            owner, _, attribute = name.rpartition(".")
            stacked = torch.stack([t.detach() for t in tensors])
            if isinstance(tensors[0], nn.Parameter):
                stacked = nn.Parameter(stacked, tensors[0].requires_grad)
            setattr(stack.get_submodule(owner), attribute, stacked)
        if self.batched:
            if not isinstance(stack, Autoencoder):
                stack.beta = stack.beta.unsqueeze(1)  # (members, 1), against (members, batch)
            stack.distortion = self._memberwise(stack.distortion)
        self.stack = _Method(stack)
        self.laws: list[tuple[str, int, int]] = []  # of spheres: family, noise_dim, last member
        if type(stack) is SphericalVAE:
            for i, m in enumerate(members, start=1):
                if self.laws and self.laws[-1][:2] == (m.family, m.noise_dim):
                    self.laws.pop()
                self.laws.append((m.family, m.noise_dim, i))
            offsets = [[offset_of(m.family, m.d, m.initial_rate)] for m in members]
            self.register_buffer(
                "offset", torch.tensor(offsets, dtype=stack.beta.dtype), persistent=False
            )

    @property
    def beta(self) -> Tensor:
        """The members' prices of a nat, for the control of the rate."""
        return self.stack.model.beta

    def loss_terms(self, x: Tensor, eps: Tensor | None) -> LossTerms:
        """Loss, distortion and rate, (members, batch) each."""
        if not self.laws:
            return LossTerms(*self._each("loss_terms", x, eps))
        assert eps is not None
        loc, u = direction_and_stretch(self._each("features", x), self.offset)
        codes, rates, first = [], [], 0
        for family, noise_dim, end in self.laws:
            own = slice(first, end)
            q = from_stretch(family, loc[own], u[own], validate_args=False)
            codes.append(q.transport(eps[own, :, :noise_dim]))
            rates.append(q.kl_to_uniform())
            first = end
        z, rate = torch.cat(codes), torch.cat(rates)
        distortion = self._each("distortion_of", x, z)
        return LossTerms(distortion + self.beta.view(-1, 1) * rate, distortion, rate)

    def _each(self, method: str, *arguments: Tensor | None) -> Any:
        """Every member's method, of its own arguments."""
        if self.batched:
            return self.stack(method, *arguments)
        weights = dict(self.stack.named_parameters()) | dict(self.stack.named_buffers())

        def one(weights: dict[str, Tensor], *own: Tensor | None) -> Any:
            found = functional_call(self.stack, weights, (method, *own))
            return tuple(found) if isinstance(found, tuple) else found  # vmap knows no LossTerms

        in_dims = (0, *(None if argument is None else 0 for argument in arguments))
        return vmap(one, in_dims)(weights, *arguments)

    def _memberwise(self, distortion: Distortion) -> Distortion:
        """A distortion of (batch, ...) images, for (members, batch, ...)."""

        def stacked(x: Tensor, output: Tensor) -> Tensor:
            return distortion(x.flatten(0, 1), output.flatten(0, 1)).unflatten(0, x.shape[:2])

        return stacked

    @torch.no_grad()
    def write_back(self, members: Sequence[Any]) -> None:
        """Give each member its weights, on the ensemble's device, and leave it in eval mode."""
        stacked = dict(self.stack.model.named_parameters()) | dict(self.stack.model.named_buffers())
        device = next(iter(stacked.values())).device
        for member in members:
            member.to(device).eval()
        for name, tensors in _by_name(members):
            for tensor, value in zip(tensors, stacked[name], strict=True):
                tensor.copy_(value.view_as(tensor))


class _Method(nn.Module):
    """A model whose call is one of its methods: functional_call knows but the call."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, method: str, *arguments: Tensor | None) -> Any:
        return getattr(self.model, method)(*arguments)


def _takes_stacked_weights(model: nn.Module) -> bool:
    # Exactly these classes: a subclass may sum over dimensions counted from the front.
    return (
        type(model) in (Autoencoder, VAE, SphericalVAE)
        and not isinstance(model.distortion, nn.Module)
        and all(isinstance(m, networks.Linear) for m in model.modules() if m._parameters)
    )


def _by_name(members: Sequence[nn.Module]) -> list[tuple[str, tuple[Tensor, ...]]]:
    """Each parameter's and buffer's name, with its tensor in every member."""
    tables = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in members]
    return [(name, tuple(table[name] for table in tables)) for name in tables[0]]
