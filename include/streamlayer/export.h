/* How the library's functions are declared. Included by every public header; not for direct use. */
#ifndef STREAMLAYER_EXPORT_H
#define STREAMLAYER_EXPORT_H

#if defined(__GNUC__)
#define SL_API          __attribute__((visibility("default")))
#define SL_MUST_CHECK   __attribute__((warn_unused_result))
#define SL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SL_API
#define SL_MUST_CHECK
#define SL_PRINTF(f, a)
#endif

#ifdef __cplusplus
#define SL_BEGIN_DECLS extern "C" {
#define SL_END_DECLS   }
#else
#define SL_BEGIN_DECLS
#define SL_END_DECLS
#endif

#endif
