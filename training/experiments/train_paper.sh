#!/usr/bin/env bash
# How models/paper.safetensors was trained. Uses the data of train_compact.sh; train_fcn took 95 minutes on two CPU cores.
#
# before.safetensors are the weights of the previous version. Without them, leave out import_weights, factorize_fcn,
# --begin-from and the cp; run templates after joint_depth_offset, use train_fcn --freeze-first and more steps.
set -euo pipefail
P=".venv/bin/python"
D="--data data/train data/train_d data/utd"; V="--validation data/val"; R=runs/paper; F="--fcn runs/paper_on/checkpoint.pt"; B=runs/before_paper
$P -m depth_pose_training import_weights --weights before.safetensors --run $B
$P -m depth_pose_training factorize_fcn --source $B --run runs/paper_low_rank $D
OMP_NUM_THREADS=1 .venv/bin/torchrun --nproc-per-node 2 -m -- depth_pose_training train_fcn --fcn paper --low-rank --distributions --begin-from runs/paper_low_rank/checkpoint.pt \
    --out runs/paper_on $D data/train_c data/utd $V --optimizer muon --rate 1.5e-3 --batch 24 --steps 4400 --seed 31 --precision bf16 --threads 1
$P -m depth_pose_training multiply_out_fcn --source runs/paper_on --run $R
cp $B/templates.pt $B/matchnet.pt $R
$P -m depth_pose_training joint_depth_offset --run $R --config paper $D $F
OMP_NUM_THREADS=1 .venv/bin/torchrun --nproc-per-node 2 -m -- depth_pose_training train_matchnet --run $R $D $V $F --optimizer adamw --rate 1e-3 --steps 260 --precision bf16 --threads 1
$P -m depth_pose_training learn_inference --run $R $D $V $F --crops 500 --validation-crops 200 --learners likelihood expectation
$P -m depth_pose_training export_weights --run $R --detector runs/detector/checkpoint.pt --out paper.safetensors
$P -m depth_pose_training evaluate_confidence --data data/val --weights paper.safetensors --limit 500 --fit models/paper.safetensors
