"""Other processes and machines that take pieces of evaluations, by way of Dask."""

from robustcnn.runs.pool.pool_config import PoolConfig as PoolConfig
