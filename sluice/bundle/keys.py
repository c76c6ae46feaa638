"""Keys of wrangler's schema (4.164.0) that do nothing in Sluice."""

from __future__ import annotations

_KEYS = """
access account_id addresses agent_memory ai ai_search ai_search_namespaces alias analytics
analytics_engine_datasets artifacts assets browser build cache cloudchamber compliance_region
connect containers d1_databases data_blobs define dependencies_instrumentation dev durable_objects
exports first_party_worker flagship hyperdrive images jsx_factory jsx_fragment k2 keep_names
keep_vars kv_namespaces logfwdr logpush media migrations minify mtls_certificates observability
pages_build_output_dir pipelines placement preserve_file_names preview_urls previews python_modules
queues r2_buckets ratelimits route routes secrets secrets_store_secrets send_email send_metrics
services site stream streaming_tail_consumers tail_consumers text_blobs triggers tsconfig unsafe
unsafe_hello_world upload_source_maps usage_model vectorize version_metadata vpc_networks
vpc_services wasm_modules worker_loaders workers_dev workflows
"""

NOT_SUPPORTED = frozenset(_KEYS.split())
"""At the top level or in an environment."""
