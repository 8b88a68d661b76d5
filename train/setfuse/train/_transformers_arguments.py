"""Our hyperparameters in transformers' words."""

from pathlib import Path

from sentence_transformers import SentenceTransformer
from transformers import TrainingArguments as TransformersArguments

from setfuse.runtime import UsageError

from ._arguments import TrainingArguments

MAX_GRAD_NORM = 1.0
"""transformers' default, which SetFit uses."""


def transformers_arguments(
    args: TrainingArguments, body: SentenceTransformer, *, progress: bool
) -> TransformersArguments:
    """Say the arguments in transformers' words.

    Args:
        args: Ours.
        body: Says which device is used.
        progress: Show a bar.

    Raises:
        UsageError: This machine cannot do what they ask for.
    """
    on_cpu = body.device.type == "cpu"
    try:
        arguments = TransformersArguments(
            output_dir=str(Path(args.output_dir).expanduser().absolute()),
            per_device_train_batch_size=args.embedding_batch_size,
            num_train_epochs=args.embedding_num_epochs,
            max_steps=args.max_steps,
            gradient_accumulation_steps=args.gradient_accumulation_steps,
            learning_rate=args.body_embedding_learning_rate,
            lr_scheduler_type=args.lr_scheduler_type,
            weight_decay=args.l2_weight or 0.0,
            max_grad_norm=MAX_GRAD_NORM,
            fp16=args.use_amp,
            bf16=args.bf16,
            use_cpu=on_cpu,
            seed=args.seed,
            report_to=args.report_to if isinstance(args.report_to, str) else list(args.report_to),
            run_name=args.run_name,
            logging_strategy=args.logging_strategy,
            logging_first_step=args.logging_first_step,
            logging_steps=args.logging_steps,
            # A loss that is no number ends the training; it is not to be averaged away in the log.
            logging_nan_inf_filter=False,
            eval_strategy=args.eval_strategy,
            eval_steps=args.eval_steps,
            eval_delay=args.eval_delay,
            save_strategy=args.save_strategy,
            save_steps=args.save_steps,
            save_total_limit=args.save_total_limit,
            load_best_model_at_end=args.load_best_model_at_end,
            metric_for_best_model=args.metric_for_best_model,
            greater_is_better=args.better_is_greater,
            restore_callback_states_from_checkpoint=True,
            dataloader_pin_memory=not on_cpu,
            use_cache=getattr(body.config, "use_cache", False),  # or transformers would write False into the body's
            disable_tqdm=not progress,
        )
    except ValueError as error:
        raise UsageError(f"{error}") from error
    arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001 - one batch is one batch, on however many GPUs there are
    return arguments
