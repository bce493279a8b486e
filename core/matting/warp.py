"""Where one picture is found in another: a homography and a mesh of small moves after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, kron

if TYPE_CHECKING:
    from torch import Tensor

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Where in the clean plate each pixel of the plate is found.

    Coordinates are centred and in units of half the long side, x right, y down, so that they mean
    the same at every size.

    Attributes:
        matrix: 3×3 homography, the last entry 1.
        mesh: rows×columns×2 displacements after it, or None.
        aspect: height and width over the long side.
    """

    matrix: F64
    aspect: tuple[float, float]
    mesh: F64 | None = None

    @classmethod
    def still(cls, height: int, width: int) -> Warp:
        """Return the warp that leaves everything where it is."""
        long = max(height, width)
        return cls(np.eye(3), (height / long, width / long))

    def grid(self, height: int, width: int) -> F64:
        """Return H×W×2 coordinates in the clean plate."""
        at = coordinates(height, width, self.aspect)
        whole = np.concatenate([at, np.ones((*at.shape[:2], 1))], -1) @ self.matrix.T
        found = whole[..., :2] / whole[..., 2:]
        if self.mesh is not None:
            rows, columns = self.mesh.shape[:2]
            weights = basis(height, width, rows, columns)
            found += (weights @ self.mesh.reshape(-1, 2)).reshape(height, width, 2)
        return found

    def apply(self, picture: Tensor, mode: str = "bilinear") -> Tensor:
        """Return 1×C×H×W resampled, edges replicated."""
        import torch
        from torch.nn import functional as fn

        height, width = picture.shape[2:]
        grid = self.grid(height, width) / np.array(self.aspect[::-1])
        at = torch.from_numpy(grid.astype(np.float32))[None]
        return fn.grid_sample(picture, at, mode=mode, padding_mode="border", align_corners=False)

    def outside(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return H×W: what the clean plate does not show at all."""
        beyond = np.abs(self.grid(height, width)) > np.array(self.aspect[::-1])
        return np.asarray(beyond.any(-1))

    def distance(self, height: int, width: int) -> float:
        """Return the mean displacement in pixels of a picture."""
        rows, columns = (max(2, round(side * 64 / max(height, width))) for side in (height, width))
        moved = self.grid(rows, columns) - coordinates(rows, columns, self.aspect)
        return float(np.linalg.norm(moved, axis=-1).mean() * max(height, width) / 2)


def coordinates(height: int, width: int, aspect: tuple[float, float]) -> F64:
    """Return H×W×2 coordinates of pixel centres, in the warp's units."""
    y = ((np.arange(height) + 0.5) / height * 2.0 - 1.0) * aspect[0]
    x = ((np.arange(width) + 0.5) / width * 2.0 - 1.0) * aspect[1]
    return np.stack(np.meshgrid(x, y), -1)


def basis(height: int, width: int, rows: int, columns: int) -> csr_array:
    """Return the bilinear weights of a mesh's corners, pixels × corners."""

    def along(count: int, corners: int) -> csr_array:
        at = (np.arange(count) + 0.5) / count * (corners - 1)
        low = np.minimum(at.astype(int), corners - 2)
        share = at - low
        index = np.concatenate([low, low + 1])
        values = np.concatenate([1.0 - share, share])
        return csr_array((values, (np.tile(np.arange(count), 2), index)), shape=(count, corners))

    return csr_array(kron(along(height, rows), along(width, columns), format="csr"))


def stiffness(rows: int, columns: int) -> csr_array:
    """Return the matrix of the sum of squared differences of neighbouring corners."""

    def chain(count: int) -> csr_array:
        steps = np.arange(count - 1)
        values = np.concatenate([-np.ones(count - 1), np.ones(count - 1)])
        difference = csr_array(
            (values, (np.tile(steps, 2), np.concatenate([steps, steps + 1]))),
            shape=(count - 1, count),
        )
        return csr_array(difference.T @ difference)

    both = kron(chain(rows), eye_array(columns)) + kron(eye_array(rows), chain(columns))
    return csr_array(both)
