"""What the fuzzer calls: the kernels as the native ops call them, on a window, a shape and indices made from bytes.

Every buffer has its exact size, so that a sanitizer sees any step past it. Each job runs twice, over memory that held
other bytes before: what differs was not written. A plain loop says what must come out: of elements that are only moved
always, of those that are compared or added where they are float32 and few.
What the geometry refuses, or what is too large to be quick, ends there.
"""
from itertools import product
from math import isnan

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from kpool.kernels import driver
from kpool.kernels.driver cimport (
    run_average_pool, run_average_pool_backward, run_gather, run_gather_last, run_max_pool, run_max_pool_backward,
    run_max_pool_indices, run_scatter_last, run_scatter_sum,
)
from kpool.kernels.elements cimport Element, element_size
from kpool.kernels.geometry cimport (
    MAX_RANK, Axis, Geometry, Problem, Window, check_offsets, check_window, move_geometry, pool_geometry,
    unpool_geometry, unpooled_shape, window_start,
)
from kpool.kernels.table cimport AveragePool, MaxPool, MaxPoolIndices, Move, Place

cdef int64_t MOST_ELEMENTS = 1 << 15
# Of windows with their elements, that a plain loop goes through.
cdef int64_t MOST_PAIRS = 1 << 11
FEW = [0.0, 1.0, -1.0, 2.0, -3.0, float("inf"), -float("inf"), float("nan")]
# The larger jobs go past the cache.
driver.set_cache_size(1 << 17)


cdef class Buffer:
    """Memory of an exact size, each byte `fill`."""

    cdef char* data
    cdef size_t size

    def __cinit__(self, size_t size, int fill=0):
        self.size = size
        self.data = <char*> malloc(size)
        memset(self.data, fill, size)

    def __dealloc__(self):
        free(self.data)

    def __eq__(self, other):
        cdef Buffer b = other
        return self.size == b.size and memcmp(self.data, b.data, self.size) == 0


cdef class Case:
    """What some bytes say; past their end they are zeros."""

    cdef const uint8_t* bytes
    cdef Py_ssize_t left
    cdef uint64_t state
    cdef Window window
    cdef Geometry g
    cdef Element element
    cdef int width
    cdef bint wide
    cdef int64_t pooled, unpooled   # elements of each side
    cdef int64_t shape[MAX_RANK + 2]

    def __cinit__(self, const uint8_t[:] data, bint only_reals=False):
        cdef int i
        cdef int64_t flags
        self.left = data.shape[0]
        self.bytes = &data[0] if self.left else NULL
        flags = self.byte()
        self.state = 2 * self.byte() + 1
        self.element = <Element> (self.byte() % (<int> Element.INT8 if only_reals else <int> Element.ELEMENTS))
        self.width = element_size(self.element)
        self.wide = flags & 1
        self.window.channels_first = flags & 2
        self.window.ceil_mode = flags & 4
        self.window.same = flags & 8
        self.window.adaptive = (flags & 48) == 48
        self.window.rank = flags // 64 + 1
        for i in range(min(self.window.rank, MAX_RANK)):
            self.window.output_size[i] = self.window.pool_size[i] = self.size(4)
            self.window.strides[i] = self.size(3)
            self.window.dilation_rate[i] = self.size(2)
            self.window.before[i] = self.size(2)
            self.window.after[i] = self.size(2)
        for i in range(MAX_RANK + 2):
            self.shape[i] = self.size(12)

    cdef int64_t byte(self) noexcept:
        cdef int64_t value
        if self.left == 0:
            return 0
        value = self.bytes[0]
        self.bytes += 1
        self.left -= 1
        return value

    cdef int64_t size(self, int64_t most) noexcept:
        """Mostly a small number, sometimes one that fills a line, seldom any of 64 bits."""
        cdef int64_t first = self.byte()
        cdef uint64_t value = 0
        cdef int _
        if first < 200:
            return first % (most + 1)
        if first < 255:
            return (first - 199) * 61
        for _ in range(8):
            value = value * 256 + <uint64_t> self.byte()
        return <int64_t> value

    cdef uint64_t random(self) noexcept:
        self.state ^= self.state << 13
        self.state ^= self.state >> 7
        self.state ^= self.state << 17
        return self.state

    cdef Buffer noise(self, int64_t count, int width):
        cdef Buffer buffer = Buffer(count * width)
        cdef uint64_t word
        cdef size_t i
        for i in range(0, buffer.size, 8):
            word = self.random()
            memcpy(buffer.data + i, &word, min(8, buffer.size - i))
        return buffer

    cdef Buffer numbers(self, int64_t count, bint special):
        """Whole numbers of float32 whose sums are exact, infinities and NaN among them if special; else just bytes."""
        cdef Buffer buffer
        cdef int64_t i
        if self.element != Element.FLOAT32:
            return self.noise(count, self.width)
        buffer = Buffer(count * 4)
        for i in range(count):
            (<float*> buffer.data)[i] = FEW[self.random() % (len(FEW) if special else 5)]
        return buffer

    cdef bint lay(self, bint unpooling, bint known=True) noexcept:
        """Find the geometry; whether there is one, of a size to be tried."""
        cdef Problem problem
        cdef Geometry* g = &self.g
        cdef int ndim = self.window.rank + 2, first = 2 if self.window.channels_first else 1
        cdef int64_t sizes[MAX_RANK + 2]
        cdef bint given
        cdef int i
        if not check_window(&self.window, &problem):
            return False
        if unpooling:
            given = self.byte() % 2
            for i in range(self.window.rank):
                if self.window.adaptive:
                    self.shape[first + i] = self.window.output_size[i]
            # Sizes near the default.
            sizes = self.shape
            if unpool_geometry(g, &self.window, ndim, self.shape, NULL, &problem):
                unpooled_shape(g, &self.window, sizes)
            for i in range(first, first + self.window.rank):
                # Unsigned, since both may be any of 64 bits.
                sizes[i] = <int64_t> (<uint64_t> sizes[i] + <uint64_t> self.size(6) - 3)
            if not known and not move_geometry(g, self.window.channels_first, ndim, sizes, self.shape, &problem):
                return False
            if known and not unpool_geometry(g, &self.window, ndim, self.shape, sizes + first if given else NULL,
                                             &problem):
                return False
        elif not pool_geometry(g, &self.window, ndim, self.shape, &problem):
            return False
        # The geometry has checked that the products fit.
        self.pooled = g.outer * g.inner * g.windows
        self.unpooled = g.outer * g.inner * g.plane
        return self.pooled <= MOST_ELEMENTS and self.unpooled <= MOST_ELEMENTS

    cdef int64_t place(self, int64_t number, int64_t index) noexcept:
        """Where on the unpooled side an element of the pooled side belongs, by its index."""
        cdef Geometry* g = &self.g
        return (number // g.inner // g.windows * g.plane + index) * g.inner + number % g.inner

    cdef int64_t index(self, Buffer indices, int64_t number) noexcept:
        return (<int64_t*> indices.data)[number] if self.wide else (<int32_t*> indices.data)[number]

    cdef void set_index(self, Buffer indices, int64_t number, int64_t index) noexcept:
        if self.wide:
            (<int64_t*> indices.data)[number] = index
        else:
            (<int32_t*> indices.data)[number] = <int32_t> index

    cdef Buffer indices(self, bint known):
        """Indices of elements in their own windows, or anywhere; then some that the bytes name."""
        cdef Buffer indices = Buffer(self.pooled * (8 if self.wide else 4))
        cdef int64_t number, rest, index, o
        cdef int64_t windows[MAX_RANK]
        cdef int i
        for number in range(self.pooled):
            rest = number // self.g.inner % self.g.windows
            for i in range(MAX_RANK - 1, -1, -1):
                windows[i] = rest % self.g.axes[i].pooled
                rest = rest // self.g.axes[i].pooled
            index = 0
            for i in range(MAX_RANK):
                axis = self.g.axes[i]
                o = window_start(&axis, windows[i]) + <int64_t> (self.random() % <uint64_t> axis.taps) * axis.dilation
                index = index * axis.size + max(0, min(axis.size - 1, o))
            if not known:
                index = <int64_t> (self.random() % <uint64_t> self.g.plane)
            self.set_index(indices, number, index)
        while self.left and self.pooled:
            number = (self.byte() * 256 + self.byte()) % self.pooled
            self.set_index(indices, number, self.size(200))
        return indices

    cdef bint can_tell(self) noexcept:
        """Whether a plain loop says what must come out."""
        # Without elements axes can be too long to walk.
        return self.element == Element.FLOAT32 and 0 < self.pooled and self.pooled * self.g.taps <= MOST_PAIRS

    def pairs(self, bint with_padding=False):
        """Each window's number, how many taps count for its average, and its elements with their taps' numbers."""
        cdef Axis axis
        cdef int64_t inner = self.g.inner, o, start, taps, outer, channel
        cdef int64_t number = 0, place, tap, i
        axes = []
        for i in range(MAX_RANK):
            axis = self.g.axes[i]
            windows = []
            for o in range(axis.pooled):
                start, taps, reach = window_start(&axis, o), axis.taps, axis.size
                if axis.adaptive:
                    taps = ((o + 1) * axis.size + axis.pooled - 1) // axis.pooled - start
                elif with_padding:
                    reach += axis.after
                spots = [(k, start + k * axis.dilation) for k in range(taps)]
                windows.append((sum(at < reach and (at >= 0 or with_padding) for _, at in spots),
                                [(k, at) for k, at in spots if 0 <= at < axis.size]))
            axes.append(windows)
        for outer in range(self.g.outer):
            for window in product(*axes):
                elements = []
                for places in product(*[spots for _, spots in window]):
                    place, tap = outer, 0
                    for i in range(MAX_RANK):
                        tap = tap * self.g.axes[i].taps + places[i][0]
                        place = place * self.g.axes[i].size + places[i][1]
                    elements.append((tap, place))
                count = window[0][0] * window[1][0] * window[2][0]
                for channel in range(inner):
                    yield number, count, [(tap, place * inner + channel) for tap, place in elements]
                    number += 1

    cdef int64_t first_bad(self, Buffer indices) noexcept:
        cdef int64_t number
        for number in range(self.pooled):
            if not 0 <= self.index(indices, number) < self.g.plane:
                return number
        return INT64_MAX


cdef Move move(Case case, Buffer inputs, Buffer indices, Buffer outputs, Buffer scratch, bint known):
    return Move(geometry=case.g, element=case.element, blocks=0, inputs=inputs.data, indices=indices.data,
                wide_indices=case.wide, windows_known=known, outputs=outputs.data, scratch=scratch.data,
                bad_position=INT64_MAX)


def unpool(data):
    """Max unpooling, for both choices of duplicates."""
    cdef Case case = Case(data)
    cdef Buffer inputs, indices, outputs, expected
    cdef Move job
    cdef int64_t number, bad
    cdef bint sums = case.byte() % 2
    if not case.lay(True):
        return
    inputs, indices = case.noise(case.pooled, case.width), case.indices(True)
    bad = case.first_bad(indices)
    results = []
    for fill in (0, 255):
        outputs = Buffer(case.unpooled * case.width, fill)
        job = move(case, inputs, indices, outputs, Buffer(0), True)
        scratch = Buffer(case.unpooled * 4, fill)
        job.scratch = (<Buffer> scratch).data
        with nogil:
            if sums:
                run_scatter_sum(&job)
            else:
                run_scatter_last(&job)
        assert job.bad_position == bad, (job.bad_position, bad)
        results.append(outputs)
    if bad < INT64_MAX:
        return
    assert results[0] == results[1], "some of the outputs were not written"
    if not sums:
        expected = Buffer(outputs.size)
        for number in range(case.pooled):
            memcpy(expected.data + case.place(number, case.index(indices, number)) * case.width,
                   inputs.data + number * case.width, case.width)
        assert outputs == expected, "elements were not where their indices say"


def unpool_backward(data):
    """The gradient of max unpooling, for both choices of duplicates, with windows and without."""
    cdef Case case = Case(data)
    cdef Buffer inputs, indices, outputs, expected, scratch, taken
    cdef Move job
    cdef int64_t number, bad, place
    cdef int64_t flags = case.byte()
    cdef bint sums = flags & 1, known = not flags & 2
    if not case.lay(True, known):
        return
    inputs, indices = case.noise(case.unpooled, case.width), case.indices(known)
    bad = case.first_bad(indices)
    results = []
    for fill in (0, 255):
        outputs, scratch = Buffer(case.pooled * case.width, fill), Buffer(case.unpooled, fill)
        job = move(case, inputs, indices, outputs, scratch, known)
        with nogil:
            if sums:
                run_gather(&job)
            else:
                run_gather_last(&job)
        assert job.bad_position == bad, (job.bad_position, bad)
        results.append(outputs)
    if bad < INT64_MAX:
        return
    assert results[0] == results[1], "some of the outputs were not written"
    expected, taken = Buffer(outputs.size), Buffer(case.unpooled)
    for number in range(case.pooled - 1, -1, -1):
        place = case.place(number, case.index(indices, number))
        if sums or not taken.data[place]:
            memcpy(expected.data + number * case.width, inputs.data + place * case.width, case.width)
        taken.data[place] = 1
    assert outputs == expected, "elements were not taken from where their indices say"


def max_pool_backward(data):
    """The gradient of max pooling, with offsets that a window may not have."""
    cdef Case case = Case(data, True)
    cdef Buffer gradients, offsets, outputs
    cdef Problem problem
    cdef Place job
    cdef int64_t number, most, tap, place
    if not case.lay(False) or not check_offsets(&case.g, &problem):
        return
    most = min(256, case.g.taps + case.byte())
    gradients, offsets = case.numbers(case.pooled, False), case.noise(case.pooled, 1)
    for number in range(case.pooled):
        offsets.data[number] = <char> (<uint8_t> offsets.data[number] % most)
    results = []
    for fill in (0, 255):
        outputs = Buffer(case.unpooled * case.width, fill)
        job = Place(geometry=case.g, element=case.element, blocks=0, inputs=gradients.data, keys=offsets.data,
                    key_width=1, added=False, outputs=outputs.data, past_cache=False, found=0)
        with nogil:
            run_max_pool_backward(&job)
        results.append(outputs)
    assert results[0] == results[1], "some of the outputs were not written"
    if case.can_tell():
        expected = [0.0] * case.unpooled
        for number, _, elements in case.pairs():
            for tap, place in elements:
                if tap == <uint8_t> offsets.data[number]:
                    expected[place] += (<float*> gradients.data)[number]
        for number in range(case.unpooled):
            assert (<float*> outputs.data)[number] == expected[number], "a gradient was not where its offset says"


cdef average(Case case, bint backward):
    cdef Buffer inputs, outputs
    cdef AveragePool job
    cdef int64_t flags = case.byte(), number, count, place
    cdef double share, value, all_of_it
    if not case.lay(False):
        return
    inputs = case.numbers(case.pooled if backward else case.unpooled, False)
    results = []
    for fill in (0, 255):
        outputs = Buffer((case.unpooled if backward else case.pooled) * case.width, fill)
        job = AveragePool(geometry=case.g, element=case.element, blocks=0, count_include_pad=flags & 1,
                          divisor_override=flags // 2, inputs=inputs.data, outputs=outputs.data, past_cache=False)
        with nogil:
            if backward:
                run_average_pool_backward(&job)
            else:
                run_average_pool(&job)
        results.append(outputs)
    assert results[0] == results[1], "some of the outputs were not written"
    if not case.can_tell():
        return
    sums, sizes = [0.0] * case.unpooled, [0.0] * case.unpooled
    for number, count, elements in case.pairs(flags & 1):
        share = flags // 2 or count
        if backward:
            for _, place in elements:
                sums[place] += (<float*> inputs.data)[number] / share
                sizes[place] += abs((<float*> inputs.data)[number] / share)
        else:
            all_of_it = sum([(<float*> inputs.data)[<int64_t> place] for _, place in elements])
            assert (<float*> outputs.data)[number] == <float> all_of_it / <float> share, "an average is another"
    if backward:
        for number in range(case.unpooled):
            value = (<float*> outputs.data)[number]
            assert abs(value - sums[number]) <= 1e-5 * sizes[number], "a gradient is another"


def average_pool_backward(data):
    """The gradient of average pooling."""
    average(Case(data, True), True)


def average_pool(data):
    """Average pooling."""
    average(Case(data, True), False)


def max_pool(data):
    """Max pooling with indices, each of which must name an element of the value's bits."""
    cdef Case case = Case(data)
    cdef Buffer inputs, outputs, indices, offsets
    cdef Problem problem
    cdef MaxPool job
    cdef int64_t number, index, place
    cdef float value, best
    if not case.lay(False):
        return
    inputs = case.numbers(case.unpooled, True)
    results = []
    for fill in (0, 255):
        outputs, indices = Buffer(case.pooled * case.width, fill), Buffer(case.pooled * (8 if case.wide else 4), fill)
        offsets = Buffer(case.pooled, fill)
        job = MaxPool(geometry=case.g, element=case.element, blocks=0, inputs=inputs.data, outputs=outputs.data,
                      indices=indices.data, wide_indices=case.wide, offsets=NULL, past_cache=False)
        if check_offsets(&case.g, &problem):
            job.offsets = <uint8_t*> offsets.data
        with nogil:
            run_max_pool(&job)
        results.append((outputs, indices, offsets if job.offsets != NULL else None))
    assert results[0] == results[1], "some of the outputs were not written"
    for number in range(case.pooled):
        index = case.index(indices, number)
        assert 0 <= index < case.g.plane, index
        assert memcmp(outputs.data + number * case.width, inputs.data + case.place(number, index) * case.width,
                      case.width) == 0, "the index names another element"
    if case.can_tell():
        for number, _, elements in case.pairs():
            tap, winner = elements[0]
            best = (<float*> inputs.data)[<int64_t> winner]
            for other, place in elements:
                value = (<float*> inputs.data)[place]
                if value > best or (isnan(value) and not isnan(best)):
                    tap, winner, best = other, place, value
            assert case.place(number, case.index(indices, number)) == winner, "another element is the first maximum"
            assert job.offsets == NULL or <uint8_t> offsets.data[number] == tap, "another tap is the first maximum"


def max_pool_indices(data):
    """From offsets to indices. Those of offsets that a window does not have may be any number."""
    cdef Case case = Case(data, True)
    cdef Buffer offsets, indices
    cdef Problem problem
    cdef MaxPoolIndices job
    cdef int64_t number
    if not case.lay(False) or not check_offsets(&case.g, &problem):
        return
    offsets = case.noise(case.pooled, 1)
    results = []
    for fill in (0, 255):
        indices = Buffer(case.pooled * (8 if case.wide else 4), fill)
        job = MaxPoolIndices(geometry=case.g, offsets=<const uint8_t*> offsets.data, indices=indices.data,
                             wide_indices=case.wide)
        with nogil:
            run_max_pool_indices(&job)
        results.append(indices)
    assert results[0] == results[1], "some of the indices were not written"
    if not case.can_tell():
        return
    for number, _, elements in case.pairs():
        for tap, place in elements:
            if <uint8_t> offsets.data[number] == tap:
                assert case.place(number, case.index(indices, number)) == place, "the index is that of another tap"


TARGETS = {function.__name__: function for function in (
    unpool, unpool_backward, max_pool_backward, average_pool_backward, average_pool, max_pool, max_pool_indices)}
