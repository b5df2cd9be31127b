declare <4 x float> @llvm.fmuladd.v4f32(<4 x float>, <4 x float>, <4 x float>)
declare i64 @llvm.smin.i64(i64, i64)

define void @run(ptr noalias %arguments, i64 %part) "reciprocal-estimates"="vec-div:2" {
entry:
  %m32 = alloca i64, align 64
  %m67 = alloca i64, align 64
  %m79 = alloca i64, align 64
  %v1 = load i64, ptr %arguments
  %v2 = getelementptr i64, ptr %arguments, i64 1
  %v3 = load i64, ptr %v2
  %v4 = getelementptr i64, ptr %arguments, i64 2
  %v5 = load ptr, ptr %v4
  %v6 = getelementptr i64, ptr %arguments, i64 3
  %v7 = load ptr, ptr %v6
  %v8 = getelementptr i64, ptr %arguments, i64 4
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr i64, ptr %arguments, i64 5
  %v11 = load ptr, ptr %v10
  %v12 = getelementptr i64, ptr %arguments, i64 6
  %v13 = load ptr, ptr %v12
  %v14 = getelementptr i64, ptr %arguments, i64 7
  %v15 = load ptr, ptr %v14
  %v16 = getelementptr i64, ptr %arguments, i64 8
  %v17 = load ptr, ptr %v16
  %v18 = getelementptr i64, ptr %arguments, i64 9
  %v19 = load ptr, ptr %v18
  %v20 = getelementptr i64, ptr %arguments, i64 10
  %v21 = load ptr, ptr %v20
  %v22 = getelementptr i64, ptr %arguments, i64 11
  %v23 = load ptr, ptr %v22
  %v24 = getelementptr i64, ptr %arguments, i64 12
  %v25 = load ptr, ptr %v24
  %v26 = getelementptr i64, ptr %v5, i64 %part
  %v27 = load i64, ptr %v26
  %v28 = add i64 %part, 1
  %v29 = getelementptr i64, ptr %v5, i64 %v28
  %v30 = load i64, ptr %v29
  store i64 0, ptr %m32
  br label %step31
step31:
  %v33 = load i64, ptr %m32
  %v34 = icmp slt i64 %v33, %v1
  br i1 %v34, label %step31.body, label %step31.end
step31.body:
  %v35 = getelementptr i64, ptr %v7, i64 %v33
  %v36 = load i64, ptr %v35
  %v37 = call i64 @llvm.smin.i64(i64 %v30, i64 %v36)
  %v38 = icmp slt i64 %v27, %v37
  br i1 %v38, label %busy39, label %busy39.end
busy39:
  %v40 = mul i64 %v1, 0
  %v41 = add i64 %v40, %v33
  %v42 = getelementptr i64, ptr %v9, i64 %v41
  %v43 = load i64, ptr %v42
  %v44 = mul i64 %v1, 1
  %v45 = add i64 %v44, %v33
  %v46 = getelementptr i64, ptr %v9, i64 %v45
  %v47 = load i64, ptr %v46
  %v48 = mul i64 %v1, 2
  %v49 = add i64 %v48, %v33
  %v50 = getelementptr i64, ptr %v9, i64 %v49
  %v51 = load i64, ptr %v50
  %v52 = mul i64 %v1, 3
  %v53 = add i64 %v52, %v33
  %v54 = getelementptr i64, ptr %v9, i64 %v53
  %v55 = load i64, ptr %v54
  %v56 = mul i64 %v1, 4
  %v57 = add i64 %v56, %v33
  %v58 = getelementptr i64, ptr %v9, i64 %v57
  %v59 = load i64, ptr %v58
  %v60 = add i64 %v47, %v27
  %v61 = mul i64 %v60, 8
  %v62 = getelementptr float, ptr %v21, i64 %v61
  %v63 = mul i64 %v27, 8
  %v64 = getelementptr float, ptr %v19, i64 %v63
  %v65 = sub i64 %v37, %v27
  call void %v11(ptr %v62, i64 8, i64 %v65, ptr %v25, i64 8, i64 2, ptr %v64, i64 8)
  store i64 %v27, ptr %m67
  br label %row66
row66:
  %v68 = load i64, ptr %m67
  %v69 = icmp slt i64 %v68, %v37
  br i1 %v69, label %row66.body, label %row66.end
row66.body:
  %v70 = add i64 %v43, %v68
  %v71 = mul i64 %v70, 8
  %v72 = getelementptr float, ptr %v17, i64 %v71
  %v73 = mul i64 %v68, 8
  %v74 = getelementptr float, ptr %v19, i64 %v73
  %v75 = add i64 %v51, %v68
  %v76 = mul i64 %v75, 8
  %v77 = getelementptr float, ptr %v21, i64 %v76
  store i64 0, ptr %m79
  br label %column78
column78:
  %v80 = load i64, ptr %m79
  %v81 = icmp slt i64 %v80, 8
  br i1 %v81, label %column78.body, label %column78.end
column78.body:
  %v82 = getelementptr float, ptr %v72, i64 %v80
  %v83 = load <4 x float>, ptr %v82, align 4
  %v84 = getelementptr float, ptr %v23, i64 %v80
  %v85 = load <4 x float>, ptr %v84, align 4
  %v86 = getelementptr float, ptr %v74, i64 %v80
  %v87 = load <4 x float>, ptr %v86, align 4
  %v88 = fadd <4 x float> %v83, %v85
  %v89 = fadd <4 x float> %v88, %v87
  %v90 = fcmp olt <4 x float> %v89, splat (float 0xC01F9F09E0000000)
  %v91 = select <4 x i1> %v90, <4 x float> splat (float 0xC01F9F09E0000000), <4 x float> %v89
  %v92 = fcmp ogt <4 x float> %v91, splat (float 0x401F9F09E0000000)
  %v93 = select <4 x i1> %v92, <4 x float> splat (float 0x401F9F09E0000000), <4 x float> %v91
  %v94 = fmul <4 x float> %v93, %v93
  %v95 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0xBCB3E4B800000000), <4 x float> %v94, <4 x float> splat (float 0x3D4C266FC0000000))
  %v96 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v95, <4 x float> %v94, <4 x float> splat (float 0xBDD7A6FFE0000000))
  %v97 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v96, <4 x float> %v94, <4 x float> splat (float 0x3E6B800820000000))
  %v98 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v97, <4 x float> %v94, <4 x float> splat (float 0x3EEF286940000000))
  %v99 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v98, <4 x float> %v94, <4 x float> splat (float 0x3F44E1BDA0000000))
  %v100 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v99, <4 x float> %v94, <4 x float> splat (float 0x3F740B3B80000000))
  %v101 = fmul <4 x float> %v93, %v100
  %v102 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3EB41A7B00000000), <4 x float> %v94, <4 x float> splat (float 0x3F1F12BAC0000000))
  %v103 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v102, <4 x float> %v94, <4 x float> splat (float 0x3F629540A0000000))
  %v104 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v103, <4 x float> %v94, <4 x float> splat (float 0x3F740B3BA0000000))
  %v105 = fdiv arcp contract ninf <4 x float> %v101, %v104
  %v106 = getelementptr float, ptr %v77, i64 %v80
  store <4 x float> %v105, ptr %v106, align 4
  %v107 = add i64 %v80, 4
  store i64 %v107, ptr %m79
  br label %column78
column78.end:
  %v108 = add i64 %v68, 1
  store i64 %v108, ptr %m67
  br label %row66
row66.end:
  br label %busy39.end
busy39.end:
  %v109 = add i64 %v33, 1
  store i64 %v109, ptr %m32
  br label %step31
step31.end:
  ret void
}

define void @join(ptr %arguments) {
entry:
  %m12 = alloca i64, align 64
  %v1 = getelementptr i64, ptr %arguments, i64 6
  %v2 = load ptr, ptr %v1
  %v3 = call i32 %v2()
  %v4 = sext i32 %v3 to i64
  %v5 = getelementptr i64, ptr %arguments, i64 7
  %v6 = load ptr, ptr %v5
  %v7 = call i32 %v6()
  %v8 = sext i32 %v7 to i64
  %v9 = getelementptr i64, ptr %arguments, i64 1
  %v10 = load i64, ptr %v9
  store i64 %v4, ptr %m12
  br label %part11
part11:
  %v13 = load i64, ptr %m12
  %v14 = icmp slt i64 %v13, %v10
  br i1 %v14, label %part11.body, label %part11.end
part11.body:
  call void @run(ptr %arguments, i64 %v13)
  %v15 = add i64 %v13, %v8
  store i64 %v15, ptr %m12
  br label %part11
part11.end:
  ret void
}
