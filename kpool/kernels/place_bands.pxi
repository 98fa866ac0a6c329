# Putting elements back where there are few channels: band by band, as many rows as a line holds, into which the windows
# above it scatter one by one. Of small planes a line holds several.

cdef struct Band:
    int64_t plane
    int64_t d
    int64_t h           # first row
    int64_t rows
    int64_t column      # first and
    int64_t column_end  # one past the last, less than whole rows only if a line does not hold one

cdef enum:
    OFFSETS = 256                       # that a byte can say
    NOWHERE = -0x4000000000000000       # so far in front of every band that nothing reaches it

# Where the taps of a window lie, as seen from the first one: those that lie in the input. One for each kind of windows.
cdef struct TapTable:
    int64_t positions[OFFSETS]
    int64_t first[MAX_RANK]
    int64_t last[MAX_RANK]


cdef inline bint within(const TapTable* table, int axis, int64_t tap) noexcept nogil:
    return table.first[axis] <= tap <= table.last[axis]


cdef inline void find_positions(TapTable* table, const Geometry* g, const int64_t* window) noexcept nogil:
    """Fill the table for a window. Offsets of taps that it does not have point nowhere."""
    cdef int64_t first, last, tap, kd, kh, kw, row
    cdef bint same = True, inside
    cdef int i
    for i in range(MAX_RANK):
        valid_taps(&g.axes[i], window[i], &first, &last)
        same = same and first == table.first[i] and last == table.last[i]
        table.first[i] = first
        table.last[i] = last
    if same:
        return
    tap = 0
    for kd in range(g.axes[0].taps):
        for kh in range(g.axes[1].taps):
            row = kd * g.axes[0].dilation * g.axes[1].size + kh * g.axes[1].dilation
            for kw in range(g.axes[2].taps):
                inside = within(table, 0, kd) and within(table, 1, kh) and within(table, 2, kw)
                table.positions[tap] = row * g.axes[2].size + kw * g.axes[2].dilation if inside else <int64_t> NOWHERE
                tap += 1


cdef inline void drop(Moved line, int64_t at, Moved element) noexcept nogil:
    """Put an element into a line, or add it to what is there."""
    if Moved is f16_r:
        (<f32_r> line)[at] += float_from_half(element[0])
    elif Moved is bf16_r:
        (<f32_r> line)[at] += float_from_bfloat(element[0])
    elif Moved is f32_r or Moved is f64_r:
        line[at] += element[0]
    else:
        line[at] = element[0]


cdef inline int64_t scatter(
    Moved line, Moved elements, Key keys, const TapTable* table, const int32_t* origins, int64_t origin, int64_t step,
    int64_t size, Py_ssize_t windows, Py_ssize_t inner,
) noexcept nogil:
    """Send the elements of some windows to a band of `size` positions, if they belong there, and return how many do.

    `origin` is where the first window, or for indices the plane, begins as seen from the band. The other windows begin
    `step` after each other, or where `origins` says, if that is not the literal NULL.
    """
    cdef Py_ssize_t o, c
    cdef int64_t at, found = 0
    for o in range(windows):
        for c in range(inner):
            if Key is u8_r:
                at = (origin if origins == NULL else <int64_t> origins[o]) + table.positions[keys[c]]
            else:
                at = origin + keys[c]
            if <uint64_t> at >= <uint64_t> size:
                continue
            found += 1
            drop[Moved](line, at * inner + c, elements + c)
        elements += inner
        keys += inner
        if Key is u8_r:
            origin += step
    return found


cdef int64_t scatter_windows(
    Moved line, Moved elements, Key keys, TapTable* tables, const Geometry* g, int64_t* window, int64_t last,
    int64_t begin, int64_t size,
) noexcept nogil:
    """Send the windows of a row, from `window` to the `last`, to a band that begins at position `begin`."""
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t row = first_row(g, window)
    cdef int64_t windows, at, origin = -begin, found = 0
    cdef TapTable* table = tables
    while window[2] <= last:
        windows = last + 1 - window[2]
        at = window[2] * g.inner
        if Key is u8_r:
            windows = alike_windows(axis, window[2], last)
            table = tables + kind_of(axis, window[2])
            find_positions(table, g, window)
            origin = row * axis.size + window_start(axis, window[2]) - begin
        # As few channels as images have are a loop that is written out.
        if g.inner == 1:
            found += scatter[Moved, Key](line, elements + at, keys + at, table, NULL, origin, axis.stride, size,
                                         windows, 1)
        elif g.inner == 2:
            found += scatter[Moved, Key](line, elements + at, keys + at, table, NULL, origin, axis.stride, size,
                                         windows, 2)
        elif g.inner == 3:
            found += scatter[Moved, Key](line, elements + at, keys + at, table, NULL, origin, axis.stride, size,
                                         windows, 3)
        elif g.inner == 4:
            found += scatter[Moved, Key](line, elements + at, keys + at, table, NULL, origin, axis.stride, size,
                                         windows, 4)
        else:
            found += scatter[Moved, Key](line, elements + at, keys + at, table, NULL, origin, axis.stride, size,
                                         windows, g.inner)
        window[2] += windows
    return found


cdef int64_t fill_band(Moved line, Key keys, TapTable* tables, const Place* job, const Band* band) noexcept nogil:
    """Put into a line what the windows over a band have to give, and return how many elements that were.

    `keys` is there for its type.
    """
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef int64_t size = (band.rows - 1) * axis.size + band.column_end - band.column
    cdef int64_t begin = (band.d * g.axes[1].size + band.h) * axis.size + band.column
    cdef int64_t first_d, last_d, first_h, last_h, first, last, unused, row, found = 0
    cdef int64_t window[MAX_RANK]
    cdef Key all_keys = <Key> job.keys
    cdef Moved elements = <Moved> job.inputs
    memset(line, 0, size * g.inner * (sizeof(float) if Moved is f16_r or Moved is bf16_r else sizeof(line[0])))
    covering_windows(&g.axes[0], band.d, &first_d, &last_d)
    covering_windows(&g.axes[1], band.h, &first_h, &unused)
    covering_windows(&g.axes[1], band.h + band.rows - 1, &unused, &last_h)
    covering_windows(axis, band.column, &first, &unused)
    covering_windows(axis, band.column_end - 1, &unused, &last)
    for window[0] in range(first_d, last_d + 1):
        for window[1] in range(first_h, last_h + 1):
            row = (band.plane * g.axes[0].pooled + window[0]) * g.axes[1].pooled + window[1]
            row *= axis.pooled * g.inner
            fetch(elements + row + first * g.inner, (last + 1 - first) * g.inner * sizeof(elements[0]))
            fetch(all_keys + row + first * g.inner, (last + 1 - first) * g.inner * sizeof(all_keys[0]))
            window[2] = first
            found += scatter_windows[Moved, Key](line, elements + row, all_keys + row, tables, g, window, last, begin,
                                                 size)
    return found


cdef inline int64_t rows_of_band(const Axis* axis, int64_t h, int64_t few, int64_t most) noexcept nogil:
    """How many rows from `h` on to take: a few, or more up to the most if those few are less than a stride.

    Where windows do not overlap, as far as one ends: which elements of windows that reach over the end of a band belong
    to it, no processor can foresee.
    """
    cdef int64_t rows, cut
    if axis.adaptive or overlaps(axis):
        return few
    rows = max(few, min(axis.stride, most))
    cut = (h + rows + axis.before) % axis.stride
    return rows - cut if cut < rows else rows


cdef inline bint windows_known_at_once(Key keys, const Geometry* g) noexcept nogil:
    """Whether one table says for all windows of a plane where their elements lie. `keys` is there for its type."""
    if Key is u8_r:
        return all_whole(g)
    else:
        return True


cdef void find_window_origins(int32_t* origins, const Geometry* g) noexcept nogil:
    """The positions of the first elements of a plane's windows, all of them whole."""
    cdef int64_t window[MAX_RANK]
    cdef int64_t o, place
    for window[0] in range(g.axes[0].pooled):
        for window[1] in range(g.axes[1].pooled):
            place = first_row(g, window) * g.axes[2].size
            for o in range(g.axes[2].pooled):
                origins[o] = <int32_t> (place + o * g.axes[2].stride)
            origins += g.axes[2].pooled


cdef int64_t fill_planes(
    Moved line, Key keys, const TapTable* table, const int32_t* origins, const Place* job, int64_t plane,
    int64_t planes,
) noexcept nogil:
    """Put into a line what some planes have to hold, and return how many elements that were."""
    cdef const Geometry* g = &job.geometry
    cdef int64_t number, at, size = g.plane * g.inner, found = 0
    cdef Key all_keys = <Key> job.keys
    cdef Moved elements = <Moved> job.inputs
    memset(line, 0, planes * size * (sizeof(float) if Moved is f16_r or Moved is bf16_r else sizeof(line[0])))
    for number in range(planes):
        at = (plane + number) * g.windows * g.inner
        if g.inner == 1:
            found += scatter[Moved, Key](line, elements + at, all_keys + at, table, origins, 0, 0, g.plane, g.windows,
                                         1)
        else:
            found += scatter[Moved, Key](line, elements + at, all_keys + at, table, origins, 0, 0, g.plane, g.windows,
                                         g.inner)
        if Moved is f16_r or Moved is bf16_r:
            line = <Moved> (<f32_r> line + size)
        else:
            line += size
    return found


cdef inline bint fills_in_place(Moved outputs, const Place* job) noexcept nogil:
    """Whether bands are filled where they belong, not in a line: not past the cache, nor with sums of half types."""
    if Moved is f16_r or Moved is bf16_r:
        return False
    else:
        return not job.past_cache


cdef int64_t place_by_bands(Moved outputs, Key keys, const Place* job, int64_t begin, int64_t end) noexcept nogil:
    """Work off items, and return how many elements were met. `keys` is there for its type."""
    cdef const Geometry* g = &job.geometry
    cdef const Axis* axis = &g.axes[2]
    cdef uint64_t line[2 * LINE]
    cdef Moved filled = <Moved> line
    cdef TapTable tables[KINDS]
    # What half of the line holds, which stays in the first-level cache.
    cdef int64_t capacity = LINE * 8 // <int64_t> max(sizeof(outputs[0]), sizeof(float)) // g.inner
    cdef int64_t number = begin, position, planes = 0, found = 0
    cdef int64_t plane_rows = g.axes[0].size * g.axes[1].size
    cdef int32_t origins[2 * LINE]
    cdef int64_t first_window[MAX_RANK]
    cdef Item item
    cdef Band band
    cdef int kind, tap
    if Key is u8_r:
        memset(tables, 0xFF, sizeof(tables))
        for kind in range(KINDS):
            for tap in range(OFFSETS):
                tables[kind].positions[tap] = NOWHERE
    if capacity >= g.plane and windows_known_at_once[Key](NULL, g):
        planes = capacity // g.plane
        if Key is u8_r:
            memset(first_window, 0, sizeof(first_window))
            find_positions(&tables[0], g, first_window)
            find_window_origins(origins, g)
    while number < end:
        # Few channels are not cut into blocks.
        item = item_at(number, 1, g.inner, g.axes[0].size, g.axes[1].size)
        planes = min(planes, (end - number) // plane_rows)
        if planes > 0 and number % plane_rows == 0:
            position = item.plane * g.plane * g.inner
            if fills_in_place[Moved](outputs, job):
                filled = outputs + position
            found += fill_planes[Moved, Key](filled, NULL, tables, origins, job, item.plane, planes)
            put_line[Moved](outputs + position, filled, planes * g.plane, g.inner, g.inner, job.past_cache)
            number += planes * plane_rows
            continue
        band = Band(plane=item.plane, d=item.d, h=item.h, rows=1, column=0, column_end=min(axis.size, capacity))
        if capacity >= axis.size:
            band.rows = rows_of_band(&g.axes[1], item.h, capacity // axis.size, 2 * capacity // axis.size)
            band.rows = min(band.rows, g.axes[1].size - item.h, end - number)
        while band.column < axis.size:
            position = (item.row * axis.size + band.column) * g.inner
            if fills_in_place[Moved](outputs, job):
                filled = outputs + position
            found += fill_band[Moved, Key](filled, NULL, tables, job, &band)
            put_line[Moved](outputs + position, filled, (band.rows - 1) * axis.size + band.column_end - band.column,
                            g.inner, g.inner, job.past_cache)
            band.column = band.column_end
            band.column_end = min(axis.size, band.column + capacity)
        number += band.rows
    return found
