"""Meta-learn an initialization for tasks of a few examples, and hold it against prototypes."""

import lossforge as lf
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot

task = load_few_shot("clusters")  # or omniglot, mini_imagenet, images:DIR
shape = EpisodeSpec(ways=5, shots=1, queries=5)
for variant in ("maml", "protonet"):  # npbml, warp_maml, maml_inductive, ...
    method = lf.FewShot(
        variant,
        inner_rate=0.05,
        meta_steps=60,
        check_every=30,
        pretrain_steps=100,
        valid_tasks=30,
        test_tasks=100,
    )
    found = method.run(task, shape, seed=0, progress=False)
    print(f"{variant}: {found.score:.1f} ± {found.interval:.1f} % of 100 new tasks' queries")
