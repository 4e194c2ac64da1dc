"""The one folder that imports a framework.

Each framework's modules here give the same names, those of `kernels` and `programs` where a
framework has nothing of its own; the configured Keras backend decides which are used. The contract,
stated once:

`value_and_grad(fn, values) -> ((loss, aux), grads)`
    `fn` maps a list of tensors to `(scalar loss, aux)`; `grads` is the list of gradients of the
    loss with respect to `values`, zeros where the loss does not depend on a value. The call may
    stand inside another one, or inside a compiled loop. `aux` carries no gradient.
`value_and_grads(fn, values) -> ((losses, aux), grads)`
    The same for a `fn` that gives a tuple of scalar losses: one forward pass, and one list of
    gradients for each loss.
`sample_gradients(fn, values, own, samples, convolutions) -> ((losses, aux), grads)`
    `fn` maps a list of tensors and one sample to `(scalar loss, aux)`. `samples` is a structure of
    tensors whose first axis counts n samples; the values at which `own` is true have such an axis
    too, the others are shared by all samples. All results have it, the gradients of shared values
    included. Vectorised over the samples on JAX and PyTorch; one sample after the other on
    TensorFlow and, where `convolutions` says that `fn` convolves, on JAX for CPUs. On PyTorch
    `fn` may draw nothing at random.
`hessian_vector_product(fn, values, vectors) -> products`
    `fn` maps a list of tensors to a scalar loss, twice differentiable; `products` is the list of
    its Hessian at `values` times `vectors`, zeros where the gradient does not depend on a value.
`add_rows(total, index, rows) -> total`
    `total` with `rows[i]` added to its row `index[i]`, repeated rows included. The argument may be
    overwritten; nothing is differentiated.
`row_sum(rows) -> tensor`
    The sum over the first axis; nothing is differentiated.
`replay_rng() -> rewind`
    Remembers the state of any random generator that Keras variables do not hold; calling
    `rewind()` before a later pass makes that pass draw what the pass after `replay_rng()` drew.
`rng_state() -> arrays by name`, `set_rng_state(arrays)`
    The states of those generators as NumPy arrays, and back, in another process too.
`passed_step(logs, batches) -> train_function`
    What stands in for Keras' `model.train_function` for steps that are passed over: it takes the
    data of `batches` steps, trains nothing, and gives `logs`.
`compiled(fn) -> fn`
    `fn` as a compiled program, made anew for other shapes: a function of structures of tensors
    that writes no variable. On PyTorch it is `fn` itself.
`FlatFunctions(watched, passing, foreign=None)`
    Runs functions of structures of tensors as flat programs of operations where that is the same:
    `flat(name, fn, *args)` gives `fn(*args)`. A name stands for one function, which may read and
    write variables. `flat.start()` comes before each step: it compares the attributes of the
    objects that `watched()` lists, the model first, and forgets what was for others. A function
    that can be no program runs as it is, with one warning unless its name is among `passing`;
    `flat.state` says by name how it runs. None is recorded where `foreign()`, asked once, names
    code that a program might not follow; that is said in `state` alone. JAX and TensorFlow compile
    steps: there it runs as it is.
`no_grad()`
    A context in which assignments to variables are not recorded.
`process_count() -> int`, `process_index() -> int`
    The processes that train together, and which of them this one is: those of torch.distributed or
    of the JAX cluster, once `join_processes` or the user has initialised it. 1 and 0 before, and
    always on TensorFlow.
`join_processes() -> bool`
    Initialises the process group from the launcher's environment variables (`launched.py`), and on
    JAX lays data out over all devices. To be called before a model is made. Does nothing where it
    has been done, or one process was started. Whether there are several.
`make_devices(count)`
    Makes `count` devices of this machine's CPU, before the framework has started (JAX, TensorFlow).
`share_devices(count)`
    A context; models made inside it train on the first `count` devices of one process (JAX,
    TensorFlow). PyTorch takes a process for each, so only 1.
`batch_rows(size) -> (n,) integers`
    The rows of a global batch of `size` that this process hands to its model; on JAX it is asked
    once the distribution is set. PyTorch: the process's part, which may be a row longer than
    another's. JAX: an equal part; TensorFlow: all, as the strategy divides. Where the batch has too
    few rows (PyTorch: fewer than processes; JAX: no multiple of the devices) it is repeated whole,
    which changes no mean, no class mean and no batch statistic.
`host_sum(array) -> array`, `host_gather(array) -> arrays`, `broadcast_host(array) -> array`,
`barrier()`
    NumPy arrays outside a step, exact in their own type: the sum over the processes, the arrays of
    each, which may differ in shape, and what process 0 has. Every process must call them, in the
    same order.
`replica_count() -> int`, `replica_index()`
    A replica is what runs a step on rows of its own: a process on PyTorch, a device of a
    `tf.distribute` strategy. 1 and 0 on JAX, whose steps see the global batch. The index is a
    tensor on TensorFlow.
`all_reduce(tensors) -> tensors`
    The sums over the replicas; the identity with one. Differentiable: the gradient is that of the
    sum of all replicas' losses.
`all_gather(tensor, rows=None) -> tensor`
    The rows of all replicas, in the order of the global batch; likewise. Replicas may have
    different numbers of rows: `rows` is `replica_rows` of them, where that is known.
`replica_rows(rows) -> (R,)`
    How many rows each replica has; integers on PyTorch, a tensor on TensorFlow.
`sharded_devices() -> int`
    The devices over which one step's batch is laid out: JAX's, 1 elsewhere.
`trained_by(model) -> int`
    How many devices or processes share in a model's batches, asked outside a step.
`KERAS_REPEATS_STEPS`
    Whether Keras itself takes several steps in one call (`steps_per_execution`; not on PyTorch).
`METRICS_ARE_LOCAL`, `OPTIMIZER_SUMS`, `COLLECTIVES_IN_LOOPS`
    Whether Keras' metrics see the rows of a replica only (PyTorch); whether Keras' optimizer sums
    the replicas' gradients (TensorFlow); whether the sums above may stand in a loop (not on
    TensorFlow).
`batch_normalization(x, scale, offset, statistics, axis, epsilon) -> (outputs, mean, variance)`
    x normalised along all axes but `axis` by the pair `statistics`, or where that is None by its
    own mean and biased variance, in one kernel; the result has the type of x. None where there is
    no kernel faster than Keras' operations.
`group_normalization(x, groups, epsilon) -> outputs`
    x (B, .., C), each sample's groups of channels normalised by their own mean and biased variance
    over all places. None where there is no kernel faster than Keras' operations.
`layer_normalization(x, scale, offset, epsilon) -> outputs`
    x normalised along its last axis by its own mean and biased variance, times `scale` and plus
    `offset` where there are any; in float32 at least. None where there is no kernel faster than
    Keras' operations.
`attention(query, key, value, scale) -> outputs`
    Of queries (B, T, heads, D), keys (B, S, heads, D) and values (B, S, heads, V): the values'
    means (B, T, heads, V), weighed by the softmax over S of `scale` times query and key. None
    where there is no kernel faster than Keras' operations.
`dense(x, kernel) -> outputs`
    The product of x (B, .., D) with a kernel (D, K). None where there is no way faster than Keras'
    operations, as for x of (B, D).
`convolution(x, kernel, strides, padding, data_format, dilation)`, `depthwise_convolution`
    Those of `keras.ops` on images, without a copy of them.
`moved_convolution(x, kernel, rows, lengths, slots, strides, padding, dilation, known=None)`
    Of images (B, height, width, channels), each with a kernel of its own: image i's is
    `kernel + lengths[slots[i]] rows[slots[i]]`, for rows (R, height, width, channels, filters) and
    lengths (R,), constants; the kernel may be of a wider type than the images. With `lengths` None
    they all take `kernel`, and the rows are not read, but the gradient of each is that of its
    images' kernels alone. In either case the gradient of `kernel` is that of all images together.
    Without lengths, the outputs may be `known`, and are not computed again. Images with the same
    slot had best follow each other.
`max_pool(x, size, strides)`, `average_pool`
    Those of images (B, height, width, channels), over the windows that lie inside the image.
`make_deterministic()`
    From now on and until the process ends the same computations give the same bits, or an error
    says which operation cannot. It is slower on a GPU, and no different on most CPUs. A GPU's
    `determinism.set_variables` come before the framework starts. `is_deterministic()` says whether
    it has been called.
`can_keep_programs() -> bool`
    Whether the framework compiles programs that can be kept in a folder for later processes (JAX,
    unless its user has switched that off).
`program_folder() -> path or None`
    The folder in which compiled programs are kept now.
`keep_programs(folder)`
    A context in which compiled programs are kept in a folder, and taken from there. Several
    processes may use one folder; what cannot be read or written there is compiled.
`accelerator_memory() -> int or None`
    Bytes of the accelerator that tensors are made on, as far as the framework may use them; None on
    a CPU, and where the framework does not tell.
`STATELESS`
    True where `train_step` takes and returns the variables' values (JAX).
"""

import keras

from keras_ccsam.backend.determinism import is_deterministic as is_deterministic

if keras.backend.backend() == "jax":
    from keras_ccsam.backend.flat import FlatFunctions as FlatFunctions
    from keras_ccsam.backend.jax import KERAS_REPEATS_STEPS as KERAS_REPEATS_STEPS
    from keras_ccsam.backend.jax import STATELESS as STATELESS
    from keras_ccsam.backend.jax import accelerator_memory as accelerator_memory
    from keras_ccsam.backend.jax import add_rows as add_rows
    from keras_ccsam.backend.jax import compiled as compiled
    from keras_ccsam.backend.jax import hessian_vector_product as hessian_vector_product
    from keras_ccsam.backend.jax import make_deterministic as make_deterministic
    from keras_ccsam.backend.jax import no_grad as no_grad
    from keras_ccsam.backend.jax import passed_step as passed_step
    from keras_ccsam.backend.jax import replay_rng as replay_rng
    from keras_ccsam.backend.jax import rng_state as rng_state
    from keras_ccsam.backend.jax import row_sum as row_sum
    from keras_ccsam.backend.jax import sample_gradients as sample_gradients
    from keras_ccsam.backend.jax import set_rng_state as set_rng_state
    from keras_ccsam.backend.jax import value_and_grad as value_and_grad
    from keras_ccsam.backend.jax import value_and_grads as value_and_grads
    from keras_ccsam.backend.jax_attention import attention as attention
    from keras_ccsam.backend.jax_dense import dense as dense
    from keras_ccsam.backend.jax_kernels import convolution as convolution
    from keras_ccsam.backend.jax_layer_norm import layer_normalization as layer_normalization
    from keras_ccsam.backend.jax_moved import moved_convolution as moved_convolution
    from keras_ccsam.backend.jax_processes import COLLECTIVES_IN_LOOPS as COLLECTIVES_IN_LOOPS
    from keras_ccsam.backend.jax_processes import METRICS_ARE_LOCAL as METRICS_ARE_LOCAL
    from keras_ccsam.backend.jax_processes import OPTIMIZER_SUMS as OPTIMIZER_SUMS
    from keras_ccsam.backend.jax_processes import all_gather as all_gather
    from keras_ccsam.backend.jax_processes import all_reduce as all_reduce
    from keras_ccsam.backend.jax_processes import barrier as barrier
    from keras_ccsam.backend.jax_processes import batch_rows as batch_rows
    from keras_ccsam.backend.jax_processes import broadcast_host as broadcast_host
    from keras_ccsam.backend.jax_processes import host_gather as host_gather
    from keras_ccsam.backend.jax_processes import host_sum as host_sum
    from keras_ccsam.backend.jax_processes import join_processes as join_processes
    from keras_ccsam.backend.jax_processes import make_devices as make_devices
    from keras_ccsam.backend.jax_processes import process_count as process_count
    from keras_ccsam.backend.jax_processes import process_index as process_index
    from keras_ccsam.backend.jax_processes import replica_count as replica_count
    from keras_ccsam.backend.jax_processes import replica_index as replica_index
    from keras_ccsam.backend.jax_processes import replica_rows as replica_rows
    from keras_ccsam.backend.jax_processes import sharded_devices as sharded_devices
    from keras_ccsam.backend.jax_processes import share_devices as share_devices
    from keras_ccsam.backend.jax_processes import trained_by as trained_by
    from keras_ccsam.backend.jax_programs import can_keep_programs as can_keep_programs
    from keras_ccsam.backend.jax_programs import keep_programs as keep_programs
    from keras_ccsam.backend.jax_programs import program_folder as program_folder
    from keras_ccsam.backend.kernels import average_pool as average_pool
    from keras_ccsam.backend.kernels import batch_normalization as batch_normalization
    from keras_ccsam.backend.kernels import depthwise_convolution as depthwise_convolution
    from keras_ccsam.backend.kernels import group_normalization as group_normalization
    from keras_ccsam.backend.kernels import max_pool as max_pool
elif keras.backend.backend() == "torch":
    from keras_ccsam.backend.kernels import attention as attention
    from keras_ccsam.backend.kernels import dense as dense
    from keras_ccsam.backend.kernels import layer_normalization as layer_normalization
    from keras_ccsam.backend.programs import can_keep_programs as can_keep_programs
    from keras_ccsam.backend.programs import keep_programs as keep_programs
    from keras_ccsam.backend.programs import program_folder as program_folder
    from keras_ccsam.backend.torch import KERAS_REPEATS_STEPS as KERAS_REPEATS_STEPS
    from keras_ccsam.backend.torch import STATELESS as STATELESS
    from keras_ccsam.backend.torch import accelerator_memory as accelerator_memory
    from keras_ccsam.backend.torch import add_rows as add_rows
    from keras_ccsam.backend.torch import compiled as compiled
    from keras_ccsam.backend.torch import hessian_vector_product as hessian_vector_product
    from keras_ccsam.backend.torch import make_deterministic as make_deterministic
    from keras_ccsam.backend.torch import no_grad as no_grad
    from keras_ccsam.backend.torch import passed_step as passed_step
    from keras_ccsam.backend.torch import replay_rng as replay_rng
    from keras_ccsam.backend.torch import rng_state as rng_state
    from keras_ccsam.backend.torch import row_sum as row_sum
    from keras_ccsam.backend.torch import sample_gradients as sample_gradients
    from keras_ccsam.backend.torch import set_rng_state as set_rng_state
    from keras_ccsam.backend.torch import value_and_grad as value_and_grad
    from keras_ccsam.backend.torch import value_and_grads as value_and_grads
    from keras_ccsam.backend.torch_flat import FlatFunctions as FlatFunctions
    from keras_ccsam.backend.torch_kernels import average_pool as average_pool
    from keras_ccsam.backend.torch_kernels import batch_normalization as batch_normalization
    from keras_ccsam.backend.torch_kernels import convolution as convolution
    from keras_ccsam.backend.torch_kernels import depthwise_convolution as depthwise_convolution
    from keras_ccsam.backend.torch_kernels import group_normalization as group_normalization
    from keras_ccsam.backend.torch_kernels import max_pool as max_pool
    from keras_ccsam.backend.torch_moved import moved_convolution as moved_convolution
    from keras_ccsam.backend.torch_processes import COLLECTIVES_IN_LOOPS as COLLECTIVES_IN_LOOPS
    from keras_ccsam.backend.torch_processes import METRICS_ARE_LOCAL as METRICS_ARE_LOCAL
    from keras_ccsam.backend.torch_processes import OPTIMIZER_SUMS as OPTIMIZER_SUMS
    from keras_ccsam.backend.torch_processes import all_gather as all_gather
    from keras_ccsam.backend.torch_processes import all_reduce as all_reduce
    from keras_ccsam.backend.torch_processes import barrier as barrier
    from keras_ccsam.backend.torch_processes import batch_rows as batch_rows
    from keras_ccsam.backend.torch_processes import broadcast_host as broadcast_host
    from keras_ccsam.backend.torch_processes import host_gather as host_gather
    from keras_ccsam.backend.torch_processes import host_sum as host_sum
    from keras_ccsam.backend.torch_processes import join_processes as join_processes
    from keras_ccsam.backend.torch_processes import make_devices as make_devices
    from keras_ccsam.backend.torch_processes import process_count as process_count
    from keras_ccsam.backend.torch_processes import process_index as process_index
    from keras_ccsam.backend.torch_processes import replica_count as replica_count
    from keras_ccsam.backend.torch_processes import replica_index as replica_index
    from keras_ccsam.backend.torch_processes import replica_rows as replica_rows
    from keras_ccsam.backend.torch_processes import sharded_devices as sharded_devices
    from keras_ccsam.backend.torch_processes import share_devices as share_devices
    from keras_ccsam.backend.torch_processes import trained_by as trained_by
elif keras.backend.backend() == "tensorflow":
    from keras_ccsam.backend.flat import FlatFunctions as FlatFunctions
    from keras_ccsam.backend.kernels import attention as attention
    from keras_ccsam.backend.kernels import average_pool as average_pool
    from keras_ccsam.backend.kernels import convolution as convolution
    from keras_ccsam.backend.kernels import dense as dense
    from keras_ccsam.backend.kernels import depthwise_convolution as depthwise_convolution
    from keras_ccsam.backend.kernels import group_normalization as group_normalization
    from keras_ccsam.backend.kernels import layer_normalization as layer_normalization
    from keras_ccsam.backend.kernels import max_pool as max_pool
    from keras_ccsam.backend.one_process import barrier as barrier
    from keras_ccsam.backend.one_process import broadcast_host as broadcast_host
    from keras_ccsam.backend.one_process import host_gather as host_gather
    from keras_ccsam.backend.one_process import host_sum as host_sum
    from keras_ccsam.backend.one_process import process_count as process_count
    from keras_ccsam.backend.one_process import process_index as process_index
    from keras_ccsam.backend.programs import can_keep_programs as can_keep_programs
    from keras_ccsam.backend.programs import keep_programs as keep_programs
    from keras_ccsam.backend.programs import program_folder as program_folder
    from keras_ccsam.backend.tensorflow import KERAS_REPEATS_STEPS as KERAS_REPEATS_STEPS
    from keras_ccsam.backend.tensorflow import STATELESS as STATELESS
    from keras_ccsam.backend.tensorflow import accelerator_memory as accelerator_memory
    from keras_ccsam.backend.tensorflow import add_rows as add_rows
    from keras_ccsam.backend.tensorflow import compiled as compiled
    from keras_ccsam.backend.tensorflow import hessian_vector_product as hessian_vector_product
    from keras_ccsam.backend.tensorflow import make_deterministic as make_deterministic
    from keras_ccsam.backend.tensorflow import no_grad as no_grad
    from keras_ccsam.backend.tensorflow import passed_step as passed_step
    from keras_ccsam.backend.tensorflow import replay_rng as replay_rng
    from keras_ccsam.backend.tensorflow import rng_state as rng_state
    from keras_ccsam.backend.tensorflow import row_sum as row_sum
    from keras_ccsam.backend.tensorflow import sample_gradients as sample_gradients
    from keras_ccsam.backend.tensorflow import set_rng_state as set_rng_state
    from keras_ccsam.backend.tensorflow import value_and_grad as value_and_grad
    from keras_ccsam.backend.tensorflow import value_and_grads as value_and_grads
    from keras_ccsam.backend.tensorflow_kernels import (
        batch_normalization as batch_normalization,
    )
    from keras_ccsam.backend.tensorflow_moved import moved_convolution as moved_convolution
    from keras_ccsam.backend.tensorflow_processes import (
        COLLECTIVES_IN_LOOPS as COLLECTIVES_IN_LOOPS,
    )
    from keras_ccsam.backend.tensorflow_processes import METRICS_ARE_LOCAL as METRICS_ARE_LOCAL
    from keras_ccsam.backend.tensorflow_processes import OPTIMIZER_SUMS as OPTIMIZER_SUMS
    from keras_ccsam.backend.tensorflow_processes import all_gather as all_gather
    from keras_ccsam.backend.tensorflow_processes import all_reduce as all_reduce
    from keras_ccsam.backend.tensorflow_processes import batch_rows as batch_rows
    from keras_ccsam.backend.tensorflow_processes import join_processes as join_processes
    from keras_ccsam.backend.tensorflow_processes import make_devices as make_devices
    from keras_ccsam.backend.tensorflow_processes import replica_count as replica_count
    from keras_ccsam.backend.tensorflow_processes import replica_index as replica_index
    from keras_ccsam.backend.tensorflow_processes import replica_rows as replica_rows
    from keras_ccsam.backend.tensorflow_processes import sharded_devices as sharded_devices
    from keras_ccsam.backend.tensorflow_processes import share_devices as share_devices
    from keras_ccsam.backend.tensorflow_processes import trained_by as trained_by
else:
    raise ImportError(
        "keras_ccsam trains with the Keras backends 'jax', 'tensorflow' and 'torch'; set "
        "KERAS_BACKEND to one of them before Keras is imported. "
        f"Received: backend={keras.backend.backend()!r}"
    )
