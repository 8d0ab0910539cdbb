"""Losses, batches of classes, and the projection that a run starts from."""

import numpy as np
import pytest
import torch
from tests.models.common import scramble
from torch.nn import functional as F

from mobilenets.card import ModelCard, card_of
from mobilenets.models.modules.backbone import Headless
from mobilenets.tasks.embed.architecture.embedding import EmbeddingNet
from mobilenets.tasks.embed.learn import sampler
from mobilenets.tasks.embed.learn.loss import loss_of, needs_pairs
from mobilenets.tasks.embed.learn.sampler import ClassesInTurn
from mobilenets.tasks.embed.probe import fit, rows
from mobilenets.tasks.embed.recipes.settings import EmbeddingObjective
from mobilenets.tasks.registry import tasks
from mobilenets.training.samples import Batches

TASK = tasks()["embed"]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(12, 8, generator=generator), dim=1).requires_grad_()
    weights = torch.randn(5, 8, generator=generator).requires_grad_()
    return vectors, weights, torch.arange(12) % 5


@pytest.mark.parametrize(
    ("name", "theirs", "margin"),
    [("cosface", "CosFaceLoss", 0.35), ("arcface", "ArcFaceLoss", 0.5), ("cosface", "", 0.0)],
)
def test_our_margins_are_those_of_pytorch_metric_learning(batch, name, theirs, margin):
    from pytorch_metric_learning import losses

    vectors, weights, labels = batch
    found = loss_of(EmbeddingObjective(loss=name, scale=20.0, margin=margin), 5)
    value = found((vectors, weights), labels)
    if not theirs:
        cosines = vectors @ F.normalize(weights, dim=1).T
        expected = F.cross_entropy(20 * cosines, labels)
    else:
        angle = np.rad2deg(margin) if name == "arcface" else margin
        peer = getattr(losses, theirs)(5, 8, margin=angle, scale=20.0)
        with torch.no_grad():
            peer.W.copy_(weights.T)
        expected = peer(vectors, labels)
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    ours = torch.autograd.grad(value, [vectors, weights])
    assert all(bool(torch.isfinite(one).all() and one.abs().sum() > 0) for one in ours)


@pytest.mark.parametrize("name", ["MultiSimilarityLoss", "TripletMarginLoss", "SupConLoss"])
def test_a_loss_of_pairs_by_its_name(batch, name):
    from pytorch_metric_learning import losses

    vectors, weights, labels = batch
    objective = EmbeddingObjective(loss=f"pml:{name}")
    assert needs_pairs(objective)
    value = loss_of(objective, 5)((vectors, weights), labels)
    assert value.item() == pytest.approx(getattr(losses, name)()(vectors, labels).item())


@pytest.mark.parametrize("name", ["ProxyAnchorLoss", "NormalizedSoftmaxLoss", "ArcFaceLoss"])
def test_a_loss_with_weights_of_classes_learns_those_of_the_network(batch, name):
    from pytorch_metric_learning import losses

    vectors, weights, labels = batch
    objective = EmbeddingObjective(loss=f"pml:{name}")
    assert not needs_pairs(objective)
    value = loss_of(objective, 5)((vectors, weights), labels)
    peer = getattr(losses, name)(num_classes=5, embedding_size=8)
    (own,) = peer.parameters()
    with torch.no_grad():
        own.copy_(weights if own.shape == weights.shape else weights.T)
    assert value.item() == pytest.approx(peer(vectors, labels).item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, [weights])
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pml:Nonsense", "loss must be pml: and one of .*MultiSimilarityLoss"),
        ("pml:SoftTripleLoss", "must have one vector for each class"),
        ("triplet", "loss must be cosface, arcface or pml:NAME, got 'triplet'"),
    ],
)
def test_other_losses_are_refused(batch, name, message):
    vectors, weights, labels = batch
    with pytest.raises(ValueError, match=message):
        loss_of(EmbeddingObjective(loss=name), 5)((vectors, weights), labels)


def test_batches_have_so_many_images_of_each_of_their_classes():
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat(np.arange(10), [1, 2, 3, 4, 5, 9, 16, 20, 20, 20]))
    drawn = ClassesInTurn(labels, 12, 4)
    order = drawn(7)
    assert order.shape == (100 // 12 * 12,)
    for images in order.reshape(-1, 12):
        found = labels[images].reshape(3, 4)
        assert (found == found[:, :1]).all()
        assert len(set(found[:, 0])) == 3
    np.testing.assert_array_equal(order, drawn(7))
    assert (drawn(8) != order).any()
    seen = np.concatenate([drawn(seed) for seed in range(20)])
    assert set(seen) == set(range(100))
    twice = [images for images in order.reshape(-1, 4) if len(set(images)) < 4]
    assert all((labels == labels[images[0]]).sum() % 4 for images in twice)


def test_processes_see_together_what_one_sees():
    labels = np.repeat(np.arange(8), 6)
    whole, *parts = (
        Batches(48, 16, 0, rank, world, ClassesInTurn(labels, 16, 4))
        for rank, world in ((0, 1), (0, 2), (1, 2))
    )
    for one in (whole, *parts):
        one.epoch = 3
    for all_of, first, second in zip(whole, *parts, strict=True):
        assert all_of == first + second
    whole.start = 2  # a resumed run goes on where it was
    assert list(whole) == [a + b for a, b in zip(*parts, strict=True)][2:]


@pytest.mark.parametrize(
    ("batch", "per_class", "message"),
    [(10, 4, "a multiple of per_class, 4"), (4, 4, "room for two"), (64, 4, "at most 8 classes")],
)
def test_a_batch_that_classes_do_not_fit_into_is_refused(batch, per_class, message):
    with pytest.raises(ValueError, match=message):
        ClassesInTurn(np.repeat(np.arange(8), 6), batch, per_class)
    assert sampler([], batch, EmbeddingObjective()) is None


def small(classes=3, **knobs) -> EmbeddingNet:
    torch.manual_seed(0)
    knobs = {"width": 0.35, "dimensions": 6, **knobs}
    labels = ("a", "b", "c", *map(str, range(3, classes)))
    model = TASK.network.build("embedding_mobilenet_v2", labels, knobs)
    return scramble(model).eval()


def drawn(count, seed=0):
    return torch.randn(count, 1280, generator=torch.Generator().manual_seed(seed)) + 3


def of_images(features, labels):
    """Rows of images without their mirror images."""
    return features, labels, torch.zeros(len(labels), dtype=torch.bool)


def projected(model, features):
    with torch.no_grad():
        return model.projection(features[:, :, None, None]).flatten(1).numpy()


def test_without_two_images_of_a_class_it_is_scikit_learns_directions_half_whitened():
    from sklearn.decomposition import PCA

    model, features = small(40), drawn(40)
    told = fit(model, of_images(features, torch.arange(40)))
    assert told.startswith("the 6 main directions of 40 images' features")
    assert "half whitened" in told
    found = projected(model, features)
    peer = PCA(6, svd_solver="full").fit(features.numpy())
    expected = peer.transform(features.numpy()) / np.sqrt(np.sqrt(peer.explained_variance_))
    signs = np.sign((found * expected).sum(0))
    scale = (found * signs).std() / expected.std()
    np.testing.assert_allclose(found * signs, scale * expected, atol=2e-3 * np.abs(found).max())


@pytest.mark.parametrize("count", [40, 1400], ids=["fewer rows than channels", "more"])
def test_what_differs_within_classes_is_whitened_as_scikit_learn_has_its_covariance(count):
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    labels = torch.arange(count) % 3
    spread = torch.linspace(4, 0.5, 1280)
    features = drawn(count) * spread + 3 * drawn(3, seed=1)[labels]
    model = small()
    told = fit(model, of_images(features, labels))
    assert "whitened by what differs within 3 classes" in told
    found = projected(model, features)
    main = PCA(6, svd_solver="full").fit_transform(features.numpy().astype(np.float64))
    peer = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.5, store_covariance=True)
    covariance = peer.fit(main, labels.numpy()).covariance_
    expected = main @ np.linalg.inv(covariance) @ main.T
    products = found @ found.T
    products *= np.trace(expected) / np.trace(products)
    np.testing.assert_allclose(products, expected, atol=4e-3 * np.abs(expected).max())
    assert np.square(found).mean() == pytest.approx(1, rel=0.01)
    means = F.normalize(torch.from_numpy(found), dim=1)
    for k in range(3):
        expected_mean = F.normalize(means[labels == k].sum(0), dim=0)
        torch.testing.assert_close(model.classifier.weight[k], expected_mean, atol=1e-4, rtol=1e-3)


def test_mirror_images_are_looked_at_too_and_count_as_no_image_of_their_own():
    model = small()
    images = torch.rand(3, 3, 64, 64)
    features, labels, mirrored = rows(model, images, [0, 1, 2], [])
    with torch.no_grad():
        torch.testing.assert_close(features[3:], model.pooled(images.flip(3)).flatten(1))
    assert labels.tolist() == [0, 1, 2] * 2
    assert mirrored.tolist() == [False] * 3 + [True] * 3
    told = fit(model, (features.detach(), labels, mirrored))
    assert "directions of 3 images' features" in told
    assert "half whitened" in told


def test_a_projection_that_has_learned_is_left_as_it_is():
    model = small()
    before = model.projection.conv.weight.clone()
    model.keep_projection()
    images = torch.rand(4, 3, 64, 64)
    assert fit(model, rows(model, images, [0, 1, 2, 0], [])) == "classes start from their means"
    assert torch.equal(model.projection.conv.weight, before)


def test_fewer_images_than_dimensions_leave_the_rest_empty():
    model = small(dimensions=20)
    fit(model, of_images(torch.randn(8, 1280), torch.arange(8) % 3))
    with torch.no_grad():
        found = model(torch.rand(3, 3, 64, 64))
    assert (found[:, 7:] == 0).all()
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


def test_other_classes_keep_the_projection_and_another_body_is_grafted():
    model = small()
    _, words = TASK.network.adapt("embedding_mobilenet_v2", model, ("a", "b", "c"), {})
    assert words == ""
    other, words = TASK.network.adapt("embedding_mobilenet_v2", model, ("x", "y"), {})
    assert words == "a new classifier for 2 classes in training"
    assert other.projected
    assert torch.equal(other.projection.conv.weight, model.projection.conv.weight)
    headless = Headless(model.backbone)
    card = ModelCard("mobilenet_v2", {"width": 0.35})
    headless.card = card
    grafted, words = TASK.network.adapt(
        "embedding_mobilenet_v2", headless, ("x", "y"), {"dimensions": 32, "last": False}
    )
    assert words == "a new projection to 32 dimensions, a new classifier for 2 classes in training"
    assert grafted.projection.conv.weight.shape == (32, 112, 1, 1)
    assert card_of(grafted).labels == ("x", "y")


def test_a_student_learns_the_teachers_vectors():
    student, teacher = (card_of(small(dimensions=d)) for d in (6, 6))
    TASK.teach.check_teacher("t", teacher, 3, student)
    with pytest.raises(ValueError, match="the student's 6 dimensions, t has 8; --knob dimensions"):
        TASK.teach.check_teacher("t", card_of(small(dimensions=8)), 3, student)
    with pytest.raises(ValueError, match="an embedding network, t is to classify"):
        TASK.teach.check_teacher("t", ModelCard("mobilenet_v2", task="classify"), 3, student)
    one, other = F.normalize(torch.randn(2, 5, 6), dim=2)
    loss = TASK.teach.distillation_loss((one, torch.zeros(3, 6)), other, 2.0)
    assert float(loss) == pytest.approx(float((2 - 2 * (one * other).sum(1)).mean()), rel=1e-5)
