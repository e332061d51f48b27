# `make` lists the targets. Everything is built in release mode: encoders are slow without.

PIPELINE := cargo run --release --quiet --locked --bin pipeline --

.PHONY: help demo test release soak slurm check fmt deny build cuda wgpu gpu-accept gpu-standin gpu-vulkan browser pictures reference count bench bench-engine bench-peers clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: build ## build, then run pipelines/demo.yaml
	$(PIPELINE) run pipelines/demo.yaml

test: ## all tests
	cargo test --release --workspace --locked

soak: ## kills, full disks, damage, races and faults of remotes by the thousand, about 20 minutes; prints figures
	PIPELINE_SOAK=1 cargo test --release --workspace --locked --test it -- --nocapture --test-threads 1 \
	    faults:: flips:: kills:: model:: outages:: races:: slurm::

slurm: build ## kills of tasks, nodes and drivers on a cluster of this machine; needs root, slurm-wlm and munge
	python3 tests/slurm/faults.py

check: ## format, lints, docs, and licences where cargo-deny is installed
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked
	@if cargo deny --version >/dev/null 2>&1; then $(MAKE) --no-print-directory deny; \
	 else echo "cargo-deny is not installed: licences and sources were not checked"; fi

deny: ## licences, bans and sources of all dependencies (deny.toml)
	cargo deny --all-features --locked check licenses bans sources

fmt: ## format the code
	cargo fmt --all

build: ## build target/release/pipeline
	cargo build --release --workspace --locked

release: ## a static binary and a wheel in target/release-files, tried in empty folders; needs musl-gcc and maturin
	packaging/release.sh $$(uname -m)-unknown-linux-musl target/release-files
	packaging/try.sh target/release-files

cuda: ## build target/release/pipeline with --device cuda
	cargo build --release --locked --package pipeline-cli --features cuda

wgpu: ## build target/release/pipeline with --device wgpu
	cargo build --release --locked --package pipeline-cli --features wgpu

gpu-accept: cuda ## the checks that need a card, and speeds beside PyTorch (tests/gpu/README.md)
	OUT=target/gpu-accept python3 tests/gpu/accept.py target/release/pipeline

gpu-standin: ## --device cuda without a card: kernels, families, trainings, faults (tests/gpu); needs g++ and pip
	cargo build --locked --package pipeline-cli --package pipeline-models --features cuda --bins --example card_search
	python3 tests/gpu/run.py $${CARGO_TARGET_DIR:-target}/debug/pipeline target/gpu-standin

gpu-vulkan: ## --device wgpu on any driver of Vulkan: families, trainings and kernels beside the processor (tests/gpu)
	cargo build --locked --package pipeline-cli --features wgpu
	python3 tests/gpu/vulkan.py $${CARGO_TARGET_DIR:-target}/debug/pipeline target/gpu-vulkan
	cargo test --locked --package pipeline-models --features wgpu --lib -- --ignored gpu::

browser: demo ## reports, a comparison and a sweep of the demo in headless Chromium; screenshots in target/browser
	$(PIPELINE) report demo -o target/report.html
	python3 tests/browser/report.py target/report.html target/browser/report
	$(PIPELINE) run demo --set projection.params.temperature=0.05 --quiet
	$(PIPELINE) report last --compare last~1 -o target/comparison.html
	python3 tests/browser/report.py target/comparison.html target/browser/comparison
	$(PIPELINE) sweep pipelines/experiments/grid.yaml --quiet
	$(PIPELINE) report pipelines/experiments/grid.yaml -o target/sweep.html
	python3 tests/browser/report.py target/sweep.html target/browser/sweep
	python3 tests/browser/report.py pipelines/experiments/grid.yaml target/browser/served

pictures: build ## the pictures of the README anew, with headless Chromium (docs/images)
	python3 tests/browser/pictures.py target/release/pipeline

reference: ## the pages of docs/reference anew, from the program and the code
	PIPELINE_WRITE_REFERENCE=1 cargo test --release --package pipeline-cli --locked --test it -- reference::

count: ## what can be counted of the code's shape: files, functions, names, circles, documents
	@python3 tests/house/count.py

bench: build bench-engine bench-peers ## all benchmarks (BENCHMARKS.md)

bench-engine: build ## times beside ninja, make, turbo and b3sum, where they are installed, and past one machine
	python3 tests/bench/orchestrators.py
	python3 tests/bench/hashing.py
	python3 tests/bench/rows.py
	python3 tests/bench/scale.py

bench-peers: target/peers/inputs ## times beside PyTorch, ONNX Runtime, faiss, Pillow, simplejpeg and numpy
	cargo build --release --locked --workspace --bins --examples
	target/peers/bin/python tests/bench/peers.py

target/peers/inputs:
	tests/bench/setup_peers.sh target/peers

clean: ## remove what was built; artifacts/ stays
	cargo clean
