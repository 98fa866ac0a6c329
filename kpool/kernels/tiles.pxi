# How work is cut into items, and rows into tiles that fit the first-level cache, and how data come and go.

cdef extern from *:
    """
    #include <string.h>
    #if defined(__SSE2__)
    #include <immintrin.h>
    #endif

    /* Copies to memory. `past_cache` tells it not to go through the cache, where the data would only be in the way. */
    static inline void kp_put(void* to, const void* from, size_t size, int past_cache) {
    #if defined(__SSE2__)
        if (past_cache && size >= 256) {
            char* target = (char*) to;
            const char* source = (const char*) from;
            size_t head = (64 - ((uintptr_t) target & 63)) & 63;
            memcpy(target, source, head);
            target += head, source += head, size -= head;
            for (; size >= 64; target += 64, source += 64, size -= 64) {
    #if defined(__AVX512F__)
                _mm512_stream_si512((__m512i*) target, _mm512_loadu_si512(source));
    #elif defined(__AVX__)
                _mm256_stream_si256((__m256i*) target, _mm256_loadu_si256((const __m256i*) source));
                _mm256_stream_si256((__m256i*) target + 1, _mm256_loadu_si256((const __m256i*) source + 1));
    #else
                for (int i = 0; i < 4; i++)
                    _mm_stream_si128((__m128i*) target + i, _mm_loadu_si128((const __m128i*) source + i));
    #endif
            }
            memcpy(target, source, size);
            return;
        }
    #endif
        memcpy(to, from, size);
    }

    /* Called with a literal for `size`, which makes a block few loads and stores. */
    static inline void kp_put_blocks_of(char* to, const char* from, Py_ssize_t count, size_t size, size_t pitch) {
        for (Py_ssize_t i = 0; i < count; i++)
            memcpy(to + i * pitch, from + i * size, size);
    }

    /* Copies blocks of some bytes to where they stand `pitch` bytes apart. */
    static inline void kp_put_blocks(
        void* to, const void* from, Py_ssize_t count, size_t size, size_t pitch, int past_cache)
    {
        if (size == 16)
            kp_put_blocks_of((char*) to, (const char*) from, count, 16, pitch);
        else if (size == 32)
            kp_put_blocks_of((char*) to, (const char*) from, count, 32, pitch);
        else if (size == 64)
            kp_put_blocks_of((char*) to, (const char*) from, count, 64, pitch);
        else if (size == 128)
            kp_put_blocks_of((char*) to, (const char*) from, count, 128, pitch);
        else
            for (Py_ssize_t i = 0; i < count; i++)
                kp_put((char*) to + i * pitch, (const char*) from + i * size, size, past_cache);
    }

    /* Makes what was put past the cache visible to other threads before anything that follows. */
    static inline void kp_finish_puts(void) {
    #if defined(__SSE2__)
        _mm_sfence();
    #endif
    }

    /* Asks for some bytes that lie further on, by a page or more, than what is about to be read. Left to itself the
       processor begins again at every page, and reads at half the speed. */
    static inline void kp_fetch(const void* from, size_t distance, size_t size) {
        for (size_t i = 0; i < size; i += 64)
            __builtin_prefetch((const char*) from + distance + i, 0, 3);
    }

    /* Called with a literal for `size`, which makes a piece one load and one store. */
    static inline void kp_move_pieces(char* to, const char* from, size_t width, size_t size) {
        char piece[64];
        for (size_t at = 0; at < width; at += size) {
            memcpy(piece, from + at, size);
            memcpy(to + at, piece, size);
        }
    }

    /* Moves rows of some bytes, `pitch` apart, to where they stand `to_pitch` apart; they may stay in their place. In
       pieces of a vector, of which the last one may be too long: what lies behind a row, such as the next one, is
       written after it. So rows go in ascending order, and 63 bytes behind the last one must be there to read and to
       write. It does not reach rows that are still to be moved, which are as far apart as whole vectors, or those and
       one element, or elsewhere, or a vector or more behind, or do not move. */
    static inline void kp_close_up(
        void* to, const void* from, Py_ssize_t count, size_t width, size_t pitch, size_t to_pitch)
    {
        if (width <= 16)
            for (Py_ssize_t i = 0; i < count; i++)
                kp_move_pieces((char*) to + i * to_pitch, (const char*) from + i * pitch, width, 16);
        else
            for (Py_ssize_t i = 0; i < count; i++)
                kp_move_pieces((char*) to + i * to_pitch, (const char*) from + i * pitch, width, 64);
    }
    """
    void close_up "kp_close_up" (void* to, const void* source, Py_ssize_t count, size_t width, size_t pitch,
                                 size_t to_pitch) noexcept nogil
    void fetch_at "kp_fetch" (const void* source, size_t distance, size_t size) noexcept nogil
    void put "kp_put" (void* to, const void* source, size_t size, bint past_cache) noexcept nogil
    void put_blocks "kp_put_blocks" (void* to, const void* source, Py_ssize_t count, size_t size, size_t pitch,
                                     bint past_cache) noexcept nogil
    void finish_puts "kp_finish_puts" () noexcept nogil


cdef inline void fetch(const void* source, size_t size) noexcept nogil:
    """Ask for what lies a page further on."""
    fetch_at(source, PAGE, size)


cdef inline size_t distance_ahead(size_t shift, size_t size) noexcept nogil:
    """How far on to ask for some bytes of each window, `shift` bytes apart: a page, or whole windows.

    What is less than a window's share is one block of its channels, and the same block is wanted there.
    """
    return PAGE if size == 0 or size >= shift else ceil_div(PAGE, shift) * shift


cdef inline Py_ssize_t read_ahead(Py_ssize_t windows, Py_ssize_t shift, Py_ssize_t span) noexcept nogil:
    """How many elements to ask for ahead per window, which reads `span` of them: not those that are skipped."""
    if windows == 1:
        return span
    return shift if shift <= 4 * span else 0


cdef inline Py_ssize_t lanes_to_cut(
    Py_ssize_t windows, Py_ssize_t lanes, Py_ssize_t step, Py_ssize_t ahead,
) noexcept nogil:
    """How many lanes of a single long window, side by side, to take in pieces, as windows of their own.

    What is asked for ahead, once per window, is spread over the loop then; if nothing is, nothing is cut.
    """
    return lanes // PIECE * PIECE if ahead > 0 and windows == 1 and step == 1 and lanes >= 2 * PIECE else 0


cdef enum:
    PAGE = 4096         # bytes
    PIECE = 64          # lanes of a long loop between two requests for what lies ahead
    SPARE = 64          # elements behind a line that may be written for nothing
    FEW_CHANNELS = 8    # below this many, a loop over the channels of one window is too short

# What an item of a job covers: the channels [channel, channel_end) of row (d, h) of a plane; `row` counts through all
# planes.
cdef struct Item:
    int64_t plane
    int64_t d
    int64_t h
    int64_t row
    int64_t channel
    int64_t channel_end

# What one pass covers: windows [first, last] and the columns they reach, for `block` channels from `channel` on.
cdef struct Tile:
    int64_t first
    int64_t last
    int64_t begin       # first column
    int64_t end         # one past the last
    int64_t channel
    int64_t block
    int64_t channels    # that the block and what follows were found for
    int64_t capacity    # columns that a line holds
    int64_t most        # windows that it holds with the columns they reach
    # The windows whose taps all lie in the columns.
    int64_t whole_begin
    int64_t whole_end


# The windows with a tap on a row: the first, the last, and how far they are apart.
cdef struct Cover:
    int64_t first[2]
    int64_t last[2]
    int64_t step[2]


cdef Item item_at(
    int64_t number, int64_t blocks, int64_t channels, int64_t depth, int64_t height,
) noexcept nogil:
    """An item of planes of `depth` x `height` rows, each cut into blocks of channels."""
    cdef int64_t row = number // blocks
    cdef int64_t block = number - row * blocks
    return Item(plane=row // (depth * height), d=row // height % depth, h=row % height, row=row,
                channel=block * channels // blocks, channel_end=(block + 1) * channels // blocks)


cdef void go_on(
    Item* item, int64_t number, int64_t blocks, int64_t channels, int64_t depth, int64_t height,
) noexcept nogil:
    """Go on to item `number`, the next one; without divisions where it is the next row."""
    if blocks > 1:
        item[0] = item_at(number, blocks, channels, depth, height)
        return
    item.row += 1
    item.channel = 0
    item.h += 1
    if item.h == height:
        item.h = 0
        item.d += 1
    if item.d == depth:
        item.d = 0
        item.plane += 1


cdef Cover cover_of(const Geometry* g, const Item* item) noexcept nogil:
    """The windows with a tap on an item's row of the unpooled side."""
    cdef Cover cover
    cover.step[0] = windows_on(&g.axes[0], item.d, &cover.first[0], &cover.last[0])
    cover.step[1] = windows_on(&g.axes[1], item.h, &cover.first[1], &cover.last[1])
    return cover


cdef inline int64_t first_row(const Geometry* g, const int64_t* window) noexcept nogil:
    """The row of the plane in which a window's first tap lies; it may be one of the padding."""
    return window_start(&g.axes[0], window[0]) * g.axes[1].size + window_start(&g.axes[1], window[1])


cdef int64_t block_for(const Axis* axis, int64_t channels, bint whole) noexcept nogil:
    """Channels to take at a time: few where windows overlap, so that a line holds several of them.

    With `whole`, a line holds a window, and a wide one twice with its padding.
    """
    cdef int64_t block = NARROW
    cdef int64_t columns = min(axis.size, reach_of(axis))
    if not overlaps(axis) and not whole:
        return min(channels, <int64_t> LINE)
    if overlaps(axis):
        columns *= 4
    if columns * NARROW <= LINE:
        block = LINE // columns // NARROW * NARROW
    while whole and is_wide(axis) and block * 2 * reach_of(axis) > LINE:
        block //= 2
    return min(channels, block)


cdef void first_tile(
    Tile* tile, const Axis* axis, int64_t channel, int64_t channel_end, bint whole,
) noexcept nogil:
    """Begin with a block of channels; `next_windows` or `next_columns` follows. `channels` is 0 the first time."""
    tile.channel = channel
    tile.last = -1
    tile.end = 0
    if tile.channels == channel_end - channel:
        return
    tile.channels = channel_end - channel
    tile.block = block_for(axis, tile.channels, whole)
    tile.capacity = LINE // tile.block
    if axis.adaptive:
        tile.most = (tile.capacity - reach_of(axis) - 1) * axis.pooled // axis.size
    else:
        tile.most = (tile.capacity - reach_of(axis)) // axis.stride + 1
    tile.most = max(1, min(tile.most, tile.capacity))


cdef bint next_columns(Tile* tile, const Axis* axis) noexcept nogil:
    """Go on to the columns that a line holds, and the windows over them; whether there are any left."""
    cdef int64_t unused
    tile.begin = tile.end
    tile.end = min(axis.size, tile.begin + tile.capacity)
    if tile.begin >= axis.size:
        return False
    covering_windows(axis, tile.begin, &tile.first, &unused)
    covering_windows(axis, tile.end - 1, &unused, &tile.last)
    return True


cdef int64_t positions_alike(const Axis* axis, int64_t position, int64_t end) noexcept nogil:
    """How many positions up to `end`, a stride apart, lie under as many windows, each under those that come next."""
    cdef int64_t rest = floor_div(end - 1 - position, axis.stride) + 1, padded = position + axis.before, first, last
    covering_windows(axis, position, &first, &last)
    if first > last:
        return rest
    # Where the first window of all cuts the range short, the next position has one window more.
    if axis.adaptive or padded + axis.stride < reach_of(axis):
        return 1
    return min(rest, axis.pooled - last)


cdef bint next_windows(Tile* tile, const Axis* axis) noexcept nogil:
    """Go on to the windows that a line holds, at least one; whether there are any left."""
    tile.first = tile.last + 1
    tile.last = min(axis.pooled, tile.first + tile.most) - 1
    if tile.first >= axis.pooled:
        return False
    tile.begin = max(0, window_start(axis, tile.first))
    tile.end = min(axis.size, window_start(axis, tile.last) + reach_of(axis))
    return True


cdef void find_whole_windows_of_tile(Tile* tile, const Axis* axis) noexcept nogil:
    """Note which of the tile's windows lie in its columns with all their taps; an empty range at its end if none do."""
    cdef int64_t room = tile.end - 1 - (axis.taps - 1) * axis.dilation + axis.before
    tile.whole_begin = max(axis.whole_begin, tile.first)
    tile.whole_end = min(axis.whole_end, tile.last + 1)
    if tile.whole_begin < tile.whole_end and window_start(axis, tile.whole_begin) < tile.begin:
        tile.whole_begin += ceil_div(tile.begin - window_start(axis, tile.whole_begin), axis.stride)
    if tile.whole_begin < tile.whole_end and window_start(axis, tile.whole_end - 1) > room - axis.before:
        tile.whole_end = room // axis.stride + 1 if room >= 0 else 0
    if tile.whole_begin >= tile.whole_end:
        tile.whole_begin = tile.whole_end = tile.last + 1


cdef inline bint taps_of(
    const Axis* axis, const Tile* tile, int64_t o, int64_t* first, int64_t* last,
) noexcept nogil:
    """The first and the last tap of a window that lie in a tile's columns; whether there are any."""
    cdef int64_t start
    first[0] = 0
    last[0] = axis.taps - 1
    if tile.whole_begin <= o < tile.whole_end:
        return True
    start = window_start(axis, o)
    valid_taps(axis, o, first, last)
    if start < tile.begin:
        first[0] = max(first[0], ceil_div(tile.begin - start, axis.dilation))
    if start + last[0] * axis.dilation >= tile.end:
        last[0] = (tile.end - 1 - start) // axis.dilation if tile.end > start else -1
    return first[0] <= last[0]


cdef inline int64_t padding_in_front(const Axis* axis, const Tile* tile) noexcept nogil:
    """Elements of a line in front of a tile's columns, where it begins with the first window's first tap."""
    return (tile.begin - window_start(axis, tile.first)) * tile.block


cdef inline int64_t place_of_tile(const Geometry* g, const Item* item, const Tile* tile, int64_t h) noexcept nogil:
    """Where the windows of a tile, in row `h` of an item's slice, stand among the results."""
    cdef int64_t row = (item.plane * g.axes[0].pooled + item.d) * g.axes[1].pooled + h
    return (row * g.axes[2].pooled + tile.first) * g.inner + tile.channel


cdef inline bint may_gather_in_place(const Geometry* g, int64_t block, bint past_cache) noexcept nogil:
    """Whether results may gather where they belong instead of in a line: not past the cache, nor some of the channels.

    Of few channels some loops write lanes too many.
    """
    return not past_cache and block == g.inner and block >= NARROW


cdef void put_lanes(
    char* to, const void* lanes, int64_t count, int64_t block, int64_t inner, size_t width, bint past_cache,
) noexcept nogil:
    """Write windows, or columns, of a tile to their row: `count` of them with `block` lanes of `width` bytes each.

    Nothing, if they gathered there.
    """
    if <const char*> lanes == to:
        return
    if block == inner:
        # What is next to be written is asked for as what is read is. Wider elements gain nothing by it.
        if width < 4 and not past_cache:
            fetch(to, count * inner * width)
        put(to, lanes, count * inner * width, past_cache)
        return
    put_blocks(to, lanes, count, block * width, inner * width, past_cache)


cdef inline void narrow(Moved kind, u16_r halves, f32_r sums, Py_ssize_t count) noexcept nogil:
    """Round sums to a half type. `kind` is there for its type."""
    cdef Py_ssize_t j
    if Moved is f16_r:
        halves_from_floats(halves, sums, count)
    elif Moved is bf16_r:
        for j in range(count):
            halves[j] = bfloat_from_float(sums[j])


cdef inline void put_line(
    Moved outputs, Moved line, int64_t columns, int64_t block, int64_t inner, bint past_cache,
) noexcept nogil:
    """Write a line, in which the half types stand as float32."""
    cdef uint16_t halves[LINE]
    cdef f32_r sums = <f32_r> line
    cdef Py_ssize_t count
    if Moved is f16_r or Moved is bf16_r:
        # A line of float32 can be twice as long as one of halves.
        while columns > 0:
            count = min(columns, LINE // block)
            narrow[Moved](NULL, halves, sums, count * block)
            put_lanes(<char*> outputs, halves, count, block, inner, 2, past_cache)
            outputs += count * inner
            sums += count * block
            columns -= count
    else:
        put_lanes(<char*> outputs, line, columns, block, inner, sizeof(line[0]), past_cache)
