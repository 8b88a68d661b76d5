"""The names that a pickled head may mention. Whatever is not written here is refused, by its name.

A module is never admitted whole: each entry is one class or function that was looked at. What is made of a record of
each stands in `_attributes.py`, `_arrays.py` and `_torch_head.py`.
"""

ESTIMATORS: dict[str, tuple[str, ...]] = {
    "sklearn.calibration": (
        "CalibratedClassifierCV",
        "_CalibratedClassifier",
        "_SigmoidCalibration",
        "_TemperatureScaling",
    ),
    "sklearn.discriminant_analysis": ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"),
    "sklearn.dummy": ("DummyClassifier",),  # where a GradientBoostingClassifier starts from
    "sklearn.ensemble._forest": ("ExtraTreesClassifier", "RandomForestClassifier"),
    "sklearn.ensemble._gb": ("GradientBoostingClassifier",),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": ("HistGradientBoostingClassifier",),
    "sklearn.ensemble._hist_gradient_boosting.predictor": ("TreePredictor",),
    "sklearn.frozen._frozen": ("FrozenEstimator",),
    "sklearn.isotonic": ("IsotonicRegression",),
    "sklearn.linear_model._logistic": ("LogisticRegression", "LogisticRegressionCV"),
    "sklearn.linear_model._passive_aggressive": ("PassiveAggressiveClassifier",),
    "sklearn.linear_model._perceptron": ("Perceptron",),
    "sklearn.linear_model._ridge": ("RidgeClassifier", "RidgeClassifierCV"),
    "sklearn.linear_model._stochastic_gradient": ("SGDClassifier",),
    "sklearn.multiclass": ("OneVsRestClassifier", "_ConstantPredictor"),
    "sklearn.multioutput": ("ClassifierChain", "MultiOutputClassifier"),
    "sklearn.naive_bayes": ("GaussianNB",),
    "sklearn.neighbors._classification": ("KNeighborsClassifier",),
    "sklearn.neural_network._multilayer_perceptron": ("MLPClassifier",),
    "sklearn.pipeline": ("Pipeline",),
    "sklearn.preprocessing._data": ("StandardScaler",),
    "sklearn.preprocessing._label": ("LabelBinarizer",),
    "sklearn.svm._classes": ("LinearSVC", "NuSVC", "SVC"),
    "sklearn.tree._classes": (
        "DecisionTreeClassifier",
        "DecisionTreeRegressor",
        "ExtraTreeClassifier",
        "ExtraTreeRegressor",
    ),
}
"""Classes of which new objects are made, once the pickle is read: see `_attributes.py`."""

STATES: dict[str, tuple[str, ...]] = {
    "joblib.numpy_pickle": ("NumpyArrayWrapper",),
    "setfit.modeling": ("SetFitHead",),
    "torch.nn.modules.linear": ("Linear",),
}
"""Classes that stand for the state which they are given."""

CALLS: dict[str, tuple[str, ...]] = {
    "__builtin__": ("bytes",),
    "_codecs": ("encode",),
    "collections": ("OrderedDict",),
    "numpy": ("dtype",),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),  # numpy before 2
    "numpy.core.numeric": ("_frombuffer",),
    "sklearn.tree._tree": ("Tree",),
    "torch._utils": ("_rebuild_parameter", "_rebuild_tensor_v2"),
    "torch.storage": ("_load_from_bytes",),
}
"""Bytes, arrays, trees and torch's tensors: what pickles write down as a call, of which the arguments are kept."""

MENTIONED: dict[str, tuple[str, ...]] = {
    "numpy": ("ndarray",),
    "torch": ("DoubleStorage", "FloatStorage", "HalfStorage"),
}
"""Types that the descriptions of arrays and tensors name."""

LEFT_OUT: dict[str, tuple[str, ...]] = {
    "numpy.random._mt19937": ("MT19937",),
    "numpy.random._pcg64": ("PCG64",),
    "numpy.random._pickle": ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"),
    "numpy.random.bit_generator": ("SeedSequence", "__pyx_unpickle_SeedSequence"),
    "sklearn._loss._loss": (
        "CyHalfBinomialLoss",
        "CyHalfMultinomialLoss",
        "__pyx_unpickle_CyHalfBinomialLoss",
        "__pyx_unpickle_CyHalfMultinomialLoss",
    ),
    "sklearn._loss.link": ("Interval", "LogitLink", "MultinomialLogit"),
    "sklearn._loss.loss": ("HalfBinomialLoss", "HalfMultinomialLoss"),
    "sklearn.ensemble._hist_gradient_boosting.binning": ("_BinMapper",),
    "sklearn.linear_model._sgd_fast": (
        "EpsilonInsensitive",
        "Hinge",
        "Huber",
        "Log",
        "ModifiedHuber",
        "SquaredEpsilonInsensitive",
        "SquaredHinge",
        "SquaredLoss",
    ),
    "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer"),
    "sklearn.preprocessing._label": ("LabelEncoder",),
    "torch": ("device",),
}
"""What no answer depends on, or what follows from the rest: read over, and never made."""
