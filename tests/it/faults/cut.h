/* A power cut: what was not synced is gone. Files are cut to nothing, and renames are undone. */

#define MAX_SYNCED 65536
#define MAX_RENAMES 64

static pthread_mutex_t cut_lock = PTHREAD_MUTEX_INITIALIZER;
static ino_t synced[MAX_SYNCED];
static int n_synced;
static struct { char from[PATH_MAX], to[PATH_MAX]; } renames[MAX_RENAMES];
static int n_renames;

static int find_synced(ino_t inode) {
    for (int i = 0; i < n_synced; i++)
        if (synced[i] == inode) return i;
    return -1;
}

static void set_synced(ino_t inode, int is_synced) {
    pthread_mutex_lock(&cut_lock);
    int i = find_synced(inode);
    if (is_synced && i < 0 && n_synced < MAX_SYNCED) synced[n_synced++] = inode;
    if (!is_synced && i >= 0) synced[i] = synced[--n_synced];
    pthread_mutex_unlock(&cut_lock);
}

/* Whatever is there when the program begins is on the disk. */
static int note_old(const char *path, const struct stat *there, int kind, struct FTW *where) {
    (void)path, (void)where;
    if (kind == FTW_F) set_synced(there->st_ino, 1);
    return 0;
}

static int lose_unsynced(const char *path, const struct stat *there, int kind, struct FTW *where) {
    (void)where;
    if (kind == FTW_F && find_synced(there->st_ino) < 0) (void)!truncate(path, 0);
    return 0;
}

static void note_changed(int fd) {
    struct stat there;
    if (fstat(fd, &there) == 0) set_synced(there.st_ino, 0);
}

/* A synced file keeps its content, a synced folder the names that were renamed into it. */
static void note_synced(int fd, const char *path) {
    struct stat there;
    if (fstat(fd, &there) != 0) return;
    if (!S_ISDIR(there.st_mode)) return set_synced(there.st_ino, 1);
    size_t length = strlen(path);
    pthread_mutex_lock(&cut_lock);
    for (int i = n_renames - 1; i >= 0; i--) {
        const char *to = renames[i].to, *name = strrchr(to, '/');
        if ((size_t)(name - to) != length || strncmp(to, path, length) != 0) continue;
        n_renames--;
        memmove(&renames[i], &renames[i + 1], (size_t)(n_renames - i) * sizeof renames[0]);
    }
    pthread_mutex_unlock(&cut_lock);
}

static void note_renamed(const char *from, const char *to) {
    pthread_mutex_lock(&cut_lock);
    if (n_renames == MAX_RENAMES) memmove(&renames[0], &renames[1], (size_t)--n_renames * sizeof renames[0]);
    snprintf(renames[n_renames].from, PATH_MAX, "%s", from);
    snprintf(renames[n_renames++].to, PATH_MAX, "%s", to);
    pthread_mutex_unlock(&cut_lock);
}

static void cut_power(const char *folder) {
    pthread_mutex_lock(&cut_lock);
    while (n_renames-- > 0) syscall(SYS_rename, renames[n_renames].to, renames[n_renames].from);
    nftw(folder, lose_unsynced, 16, FTW_PHYS);
}
