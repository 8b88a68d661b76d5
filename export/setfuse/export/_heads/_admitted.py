"""The names that a pickled head may mention. Whatever is not written here is refused, by its name.

A module is never admitted whole: each entry is one class or function that was looked at.
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
    "sklearn.ensemble._hist_gradient_boosting.binning": ("_BinMapper",),
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
    "sklearn.preprocessing._label": ("LabelBinarizer", "LabelEncoder"),
    "sklearn.svm._classes": ("LinearSVC", "NuSVC", "SVC"),
    "sklearn.tree._classes": (
        "DecisionTreeClassifier",
        "DecisionTreeRegressor",
        "ExtraTreeClassifier",
        "ExtraTreeRegressor",
    ),
    "sklearn._loss.link": ("Interval", "LogitLink", "MultinomialLogit"),
    "sklearn._loss.loss": ("HalfBinomialLoss", "HalfMultinomialLoss"),
}
"""Python classes without side effects: made empty and given their attributes, no code of theirs but `__setstate__`."""

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
}
"""What only fitting needs: not even imported, an empty object stands for each."""

ARRAYS: dict[str, tuple[str, ...]] = {
    "__builtin__": ("bytes",),
    "_codecs": ("encode",),
    "collections": ("OrderedDict",),
    "joblib.numpy_pickle": ("NumpyArrayWrapper",),
    "numpy": ("dtype", "ndarray"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),  # numpy before 2
    "numpy.core.numeric": ("_frombuffer",),
    "setfit.modeling": ("SetFitHead",),
    "sklearn.tree._tree": ("Tree",),
    "torch": ("device",),
    "torch._utils": ("_rebuild_parameter", "_rebuild_tensor_v2"),
    "torch.nn.modules.linear": ("Linear",),
    "torch.storage": ("_load_from_bytes",),
}
"""Arrays, trees and torch's tensors: each is made by a function of ours that checks what it is given."""
