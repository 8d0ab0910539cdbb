import pytest
import timm
import torch
from torch import nn

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.tasks.classify.teach import distillation_loss
from mobilenets.tasks.registry import build, tasks
from mobilenets.training.norms import set_momentum
from mobilenets.training.taught.teacher import Teacher, load_teacher
from mobilenets.weights.sources.own import save

TASK = tasks()["classify"]
STUDENT = Preprocessing((48, 48))
OWN = Preprocessing((48, 48), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LABELS = ("a", "b", "c", "d")


def student(**facts: object) -> ModelCard:
    return ModelCard("x", task="classify", **facts)


def network(classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    model = build("mobilenet_v2", width=0.25, classes=classes)
    set_momentum(model, 1.0)
    with torch.no_grad():
        model.train()(torch.randn(16, 3, 48, 48))  # norms that let the images' differences through
    return model


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (expected - expected.mean(0)).abs().max() > 0.01 * expected.abs().max()
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def normalised(pixels: torch.Tensor, rule: Preprocessing) -> torch.Tensor:
    """(N, 3, H, W) RGB shares of 255 -> what a network of that rule takes."""
    if rule.order == "BGR":
        pixels = pixels[:, [2, 1, 0]]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (rule.mean, rule.std))
    return (pixels - mean) / std


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_is_torchs_divergence_of_the_softened_outputs(temperature):
    student, teacher = torch.randn(6, 9) * 3, torch.randn(6, 9) * 3
    soft = [(outputs.double() / temperature).softmax(1) for outputs in (student, teacher)]
    divergence = nn.KLDivLoss(reduction="batchmean")(soft[0].log(), soft[1])
    spelled = (soft[1] * (soft[1].log() - soft[0].log())).sum(1).mean()
    found = distillation_loss(student, teacher, temperature)
    for expected in (divergence, spelled):
        assert float(found) == pytest.approx(float(expected) * temperature**2, rel=1e-5)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn():
    teacher = torch.randn(6, 9) * 3
    student = teacher.clone().requires_grad_()
    loss = distillation_loss(student, teacher, 2.0)
    loss.backward()
    assert loss.detach().abs() < 1e-6
    assert student.grad.abs().max() < 1e-6


@pytest.mark.parametrize("own", [OWN, Preprocessing(order="BGR", mean=(0.1, 0.2, 0.3))])
@pytest.mark.parametrize("student", [STUDENT, Preprocessing(order="BGR", std=(0.2, 0.3, 0.4))])
def test_a_teacher_sees_the_pixels_in_its_own_way(own, student):
    pixels = torch.rand(2, 3, 48, 48)
    model = network()
    teacher = Teacher(model, own, student)
    expected = model.eval()(normalised(pixels, own))
    torch.testing.assert_close(teacher(normalised(pixels, student)), expected, rtol=1e-4, atol=1e-5)


def test_a_teacher_stays_as_it_is():
    teacher = Teacher(network(), OWN, STUDENT)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    teacher.train()
    outputs = teacher(torch.randn(2, 3, 48, 48))
    assert not any(module.training for module in teacher.modules())
    assert not outputs.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


@pytest.fixture
def saved(tmp_path):
    model = network()
    arguments = {"width": 0.25, "classes": 4}
    model.card = ModelCard("mobilenet_v2", arguments, labels=LABELS, preprocessing=OWN)
    save(model, tmp_path / "teacher.safetensors")
    return model, tmp_path / "teacher.safetensors"


def test_any_weights_teach_with_their_own_preprocessing(saved):
    model, path = saved
    teacher = load_teacher(str(path), TASK, student(labels=LABELS, preprocessing=STUDENT))
    pixels = torch.rand(2, 3, 48, 48)
    close(teacher(normalised(pixels, STUDENT)), model.eval()(normalised(pixels, OWN)))


def test_a_teacher_of_one_size_gets_images_of_it():
    own = Preprocessing((24, 40))
    given = torch.rand(2, 3, 48, 80)
    teacher = Teacher(nn.Identity(), own, own, fixed_size=True)
    assert teacher(given).shape == (2, 3, 24, 40)
    halves = given.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))  # antialiased: near an average
    assert (teacher(given) - halves).abs().mean() < 0.1
    assert torch.equal(
        teacher(given[..., :24, :40]), Teacher(nn.Identity(), own, own)(given[..., :24, :40])
    )


def test_other_classes_are_refused(saved):
    _, path = saved
    for labels in (("b", "a", "c", "d"), ("a", "b", "c")):
        with pytest.raises(ValueError, match=r"student's classes .* has a, b, c, d"):
            load_teacher(str(path), TASK, student(labels=labels))


def test_weights_that_say_nothing_of_their_classes_are_known_by_their_outputs(tmp_path):
    model = network(1000)
    model.card = ModelCard("mobilenet_v2", {"width": 0.25})
    save(model, tmp_path / "teacher.safetensors")
    path = str(tmp_path / "teacher.safetensors")
    load_teacher(path, TASK, student(labels=tuple(map(str, range(1000)))))
    with pytest.raises(ValueError, match=r"must have 4 outputs as the student, .* has 1000"):
        load_teacher(path, TASK, student(labels=LABELS))


@pytest.fixture
def offline(monkeypatch):
    """timm's networks with random weights: the pretrained ones are not at hand."""
    real = timm.create_model

    def create(name, pretrained):
        assert pretrained
        torch.manual_seed(0)
        return real(name, pretrained=False)

    monkeypatch.setattr(timm, "create_model", create)
    return create


def test_a_timm_name_teaches_with_timms_preprocessing(offline):
    name = "mobilenetv2_035"
    labels = tuple(map(str, range(1000)))
    teacher = load_teacher(name, TASK, student(labels=labels, preprocessing=STUDENT))
    pixels = torch.rand(2, 3, 48, 48)
    config = timm.data.resolve_data_config({}, model=teacher.network)
    own = Preprocessing(mean=tuple(config["mean"]), std=tuple(config["std"]))
    expected = offline(name, pretrained=True).eval()(normalised(pixels, own))
    close(teacher(normalised(pixels, STUDENT)), expected)
    with pytest.raises(ValueError, match=f"must have 4 outputs as the student, {name} has 1000"):
        load_teacher(name, TASK, student(labels=LABELS))
