#!/usr/bin/env bash
# How models/compact.safetensors was trained. Two CPU cores with avx512_bf16; about 24 hours with all earlier versions.
#
# --steps are totals; an interrupted step resumes. before.safetensors are the weights of the previous version. Without them,
# leave out import_weights, --begin-from, --person and the cp of templates and MatchNet; run templates after joint_depth_offset
# and train_detector for the detector, and use more steps. data/earlier stands for shards of earlier versions. The generator
# configurations, and the third of the real shards that the person classifier uses:
#   rooms.yaml: {people: {number: [0.5, 0.5]}, cameras: {views: 1}}
#   cut.yaml:   {crops: {removed: 1.0}, cameras: {sensors: {kinect_v1: 1.0}, distance: [2.0, 4.0], near: 0.0}}
#   near.yaml:  {people: {number: [0.3, 0.7]}, cameras: {views: 1, near: 1.0, near_distance: [0.5, 1.0]}}
#   data/utd_third: every third shard of data/utd
set -euo pipefail
P=".venv/bin/python"
D="--data data/train data/train_c"; V="--validation data/val"; R=runs/compact; B=runs/before; F=runs/detector
M="--motion cmu_unified_19j_30fps.npz"; N="data/negatives data/negatives_rooms data/negatives_rooms_b"; T="data/train data/train_d data/utd"
$P -m depth_pose_training generate --out data/earlier $M --shards 64 --seed 171
$P -m depth_pose_training generate --out data/train $M --shards 96 --seed 181
$P -m depth_pose_training generate --out data/train_b $M --shards 48 --seed 261
$P -m depth_pose_training generate --out data/train_c $M --shards 48 --seed 281
$P -m depth_pose_training generate --out data/train_d $M --shards 48 --seed 321
$P -m depth_pose_training generate --out data/cut $M --shards 12 --seed 301 --generator cut.yaml
$P -m depth_pose_training generate --out data/val $M --shards 3 --seed 99 --validation
$P -m depth_pose_training generate --out data/heads $M --shards 14 --seed 191
$P -m depth_pose_training generate --out data/rooms $M --shards 4 --seed 221 --generator rooms.yaml
$P -m depth_pose_training generate --out data/rooms_b $M --shards 10 --seed 231 --generator rooms.yaml
$P -m depth_pose_training generate --out data/rooms_heads $M --shards 10 --seed 241 --generator rooms.yaml
$P -m depth_pose_training generate --out data/rooms_heads_b $M --shards 10 --seed 341 --generator rooms.yaml
$P -m depth_pose_training generate --out data/heads_b $M --shards 8 --seed 351
$P -m depth_pose_training generate --out data/near $M --shards 8 --seed 381 --generator near.yaml
$P -m depth_pose_training import_weights --weights before.safetensors --run $B --detector $F
$P -m depth_pose_training mine_negatives --detector $F/checkpoint.pt --data data/earlier --out data/negatives --frames 4000 --seed 2
$P -m depth_pose_training mine_negatives --detector $F/checkpoint.pt --data data/rooms --out data/negatives_rooms --frames 4500 --seed 3
$P -m depth_pose_training mine_negatives --detector $F/checkpoint.pt --data data/rooms_b --out data/negatives_rooms_b --frames 4500 --seed 4

# Real labels in our joint definitions, with a network trained on rendered crops only (the first weights and 1,200 steps).
git show 7521a90:models/compact.safetensors > first.safetensors
$P -m depth_pose_training import_weights --weights first.safetensors --run runs/first
OMP_NUM_THREADS=1 .venv/bin/torchrun --nproc-per-node 2 -m -- depth_pose_training train_fcn --out runs/blind --data data/train_c data/train_b data/cut data/cut $V \
    --begin-from runs/first/checkpoint.pt --up-blocks 3 --fine-blocks 1 --batch 32 --rate 2.5e-3 --steps 1200 --seed 10 --precision bf16 --threads 1
cp runs/first/{surface,templates,matchnet,inference}.pt runs/blind
sed 's/"fcn_blocks": 2, "fcn_up_blocks": 1/"fcn_blocks": 8, "fcn_up_blocks": 3/' runs/first/config.json > runs/blind/config.json
$P -m depth_pose_training export_weights --run runs/blind --detector $F/checkpoint.pt --out blind.safetensors
$P -m depth_pose_training to_shards --data utd_mhad --root UTD_MHAD --subjects 1 3 5 --stride 2 --out data/utd --weights blind.safetensors --adapter-frames 900

# The FCN: a run with the previous number of blocks, then a deeper one; models are averaged after each.
OMP_NUM_THREADS=1 .venv/bin/torchrun --nproc-per-node 2 -m -- depth_pose_training train_fcn --out runs/a $D data/train_d data/utd data/utd $N $V --up-blocks 3 --fine-blocks 1 \
    --begin-from $B/checkpoint.pt --person $B/person.pt --batch 32 --rate 1e-3 --steps 3000 --seed 13 --precision bf16 --threads 1
$P -m depth_pose_training average_models --checkpoints $B/checkpoint.pt runs/a/checkpoint.pt --run runs/mean
OMP_NUM_THREADS=1 .venv/bin/torchrun --nproc-per-node 2 -m -- depth_pose_training train_fcn --out runs/b $D data/train_d data/utd data/utd $N $V \
    --begin-from runs/mean/checkpoint.pt --person $B/person.pt --batch 32 --rate 1.3e-3 --steps 3300 --seed 14 --precision bf16 --threads 1
$P -m depth_pose_training average_models --checkpoints runs/mean/checkpoint.pt runs/b/checkpoint.pt $D data/train_d data/utd data/utd $N --crops 4800 --run $R
$P -m depth_pose_training joint_depth_offset --run $R --config compact --data $T
cp $B/templates.pt $B/matchnet.pt $R
$P -m depth_pose_training train_matchnet --run $R --data $T $V --precision fp32 --steps 1500 --rate 1e-3
$P -m depth_pose_training learn_inference --run $R --data $T $V --crops 2000 --validation-crops 300 --learners likelihood expectation

# The person classifier; the detector does not change.
$P -m depth_pose_training train_person_classifier --run $R --detector $F/checkpoint.pt --data data/heads data/rooms_heads --people data/utd_third $V --frames 7000 --score-threshold 0.65
$P -m depth_pose_training export_weights --run $R --detector $F/checkpoint.pt --out compact.safetensors
$P -m depth_pose_training evaluate_confidence --data data/val --weights compact.safetensors --fit models/compact.safetensors
$P -m depth_pose_training quantize --data data/train --validation data/val

# The person classifier again, on more frames, with the int8 FCN.
$P -m depth_pose_training train_person_classifier --run $R --detector $F/checkpoint.pt --data data/heads data/heads_b data/rooms_heads data/rooms_heads_b --people data/utd_third $V \
    --frames 12000 --int8 models/compact.int8.xml --score-threshold 0.35

# The detector, with people nearer than a metre.
OMP_NUM_THREADS=1 .venv/bin/torchrun --nproc-per-node 2 -m -- depth_pose_training train_detector --out runs/near $V --data data/train_d data/rooms data/near \
    --begin-from $F/checkpoint.pt --rate 1.2e-3 --steps 7000 --seed 7 --precision bf16 --threads 1
$P -m depth_pose_training average_models --checkpoints $F/checkpoint.pt runs/near/checkpoint.pt --run runs/detector_mean
$P -m depth_pose_training export_weights --run $R --detector runs/detector_mean/checkpoint.pt --out compact.safetensors
$P -m depth_pose_training evaluate_confidence --data data/val --weights compact.safetensors --fit models/compact.safetensors
